import { findGateAnsweredBy } from '../../../db/gates.ts';
import { findWaitingGates, type WaitingGate } from '../../../db/orchestration-runs.ts';
import type { Decision, RunStatus } from '../../../workflows/contract/states.ts';
import type { Principal } from '../../accounts/principal.ts';
import { DomainError, InvalidInputError, notFound } from '../../errors.ts';
import { newId, type IdSeed } from '../../ids.ts';
import { answerTask } from '../../runs/answer.ts';
import { wireStatus } from './run-view.ts';

type Response = string | Record<string, unknown>;
type Resume = { response: Response; step_id?: string | null; gate_id?: string | null };

/**
 * Answers the gate at which a run waits; once, whoever else answers it too. The retry of a request whose answer stands is
 * taken for it. Throws `NOT_FOUND`, `RUN_NOT_PAUSED`, and `InvalidInputError` naming the member of `response`.
 */
export async function resumeRun(
  deps: Parameters<typeof answerTask>[0],
  principal: Principal,
  run_id: string,
  resume: Resume,
  idempotency: IdSeed | undefined,
): Promise<void> {
  const run = await findWaitingGates(deps.db, principal.account_id, run_id);
  if (!run) throw notFound('Run');
  // The run may wait at its next gate by now, which this answer is not for.
  if (idempotency?.isRetry && (await findGateAnsweredBy(deps.db, run_id, newId('request', idempotency)))) return;
  const gate = pickGate(run, resume);
  const { task_id, gate_id } = gate;
  const answer = { run_id, task_id, gate_id, ...answerTo(gate, resume.response) };
  await answerTask(deps, principal, answer, idempotency).catch((error: unknown) => {
    throw inWordsOfResume(error, gate);
  });
}

/** The oldest gate that is open, of the step or with the id that the request names. */
function pickGate(run: { status: RunStatus; gates: WaitingGate[] }, { step_id, gate_id }: Resume): WaitingGate {
  const gate = run.gates.find(
    (open) =>
      (!step_id || open.step_id === step_id || open.task_id === step_id) && (!gate_id || open.gate_id === gate_id),
  );
  if (gate) return gate;
  const run_status = wireStatus(run.status);
  const which = step_id ? `Step "${step_id}" does not wait` : `The run is ${run_status} and waits for nobody`;
  const message = gate_id ? `The run does not wait for ${gate_id}.` : `${which}.`;
  throw new DomainError('RUN_NOT_PAUSED', message, { members: { run_status } });
}

/** Clients of this API know runs that pause, and one member `response`: a form is all of it. */
function inWordsOfResume(error: unknown, { kind }: WaitingGate): unknown {
  if (error instanceof InvalidInputError) {
    return new InvalidInputError(
      error.faults.map(({ path, detail }) => ({
        path: ['response', ...(kind === 'human_step' ? path.slice(1) : path)],
        detail,
      })),
    );
  }
  if (!(error instanceof DomainError)) return error;
  if (error.code === 'NOT_FOUND') return notFound('Run');
  if (error.code !== 'TASK_NOT_WAITING') return error;
  return new DomainError('RUN_NOT_PAUSED', 'Another answer came first.', { members: { run_status: 'running' } });
}

/** Human steps take the fields, other gates a decision and a text. A tool is not called because something was said. */
function answerTo(gate: WaitingGate, response: Response): { decision: Decision; output: string | null } {
  if (gate.kind === 'human_step') {
    return { decision: 'approve', output: typeof response === 'string' ? response : JSON.stringify(response) };
  }
  if (typeof response === 'string' && gate.decisions.includes(response as Decision)) {
    return { decision: response as Decision, output: null };
  }
  if (gate.kind === 'tool_approval' && (typeof response === 'string' || response.decision === undefined)) {
    throw new InvalidInputError([
      { path: ['response', 'decision'], detail: `must be one of ${gate.decisions.join(', ')}` },
    ]);
  }
  if (typeof response === 'string') return { decision: 'approve', output: response };
  const { decision = 'approve', output, notes } = response;
  const text = output ?? notes;
  return { decision: decision as Decision, output: typeof text === 'string' ? text : null };
}
