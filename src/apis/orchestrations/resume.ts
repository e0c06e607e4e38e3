import { findGateAnsweredBy } from '../../../db/gates.ts';
import { findWaitingGates, type WaitingGate, type WaitingRun } from '../../../db/orchestration-runs.ts';
import type { GivenOutput } from '../../../workflows/contract/gate-rules.ts';
import type { Decision } from '../../../workflows/contract/states.ts';
import type { Principal } from '../../accounts/principal.ts';
import { DomainError, InvalidInputError, notFound, requireNone, type FieldFault } from '../../errors.ts';
import { newId, type IdSeed } from '../../ids.ts';
import { answerTask } from '../../runs/answer.ts';
import { wireStatus } from './run-view.ts';

type Response = string | Record<string, unknown>;
type Resume = { response: Response; step_id?: string | null; gate_id?: string | null };

/**
 * Answers the gate at which a run waits; once, whoever else answers it too. The retry of a request whose answer stands is
 * taken for it. Returns the id of the gate. Throws `NOT_FOUND`, `RUN_NOT_PAUSED`, and `InvalidInputError` naming the member of
 * `response`.
 */
export async function resumeRun(
  deps: Parameters<typeof answerTask>[0],
  principal: Principal,
  run_id: string,
  resume: Resume,
  idempotency: IdSeed | undefined,
): Promise<string> {
  const run = await findWaitingGates(deps.db, principal.account_id, run_id);
  if (!run) throw notFound('Run');
  // The run may wait at its next gate by now, which this answer is not for.
  const before = idempotency?.isRetry && (await findGateAnsweredBy(deps.db, run_id, newId('request', idempotency)));
  if (before) return before.gate_id;
  const gate = pickGate(run, resume);
  const { task_id, gate_id } = gate;
  const answer = { run_id, task_id, gate_id, ...answerTo(gate, resume.response) };
  await answerTask(deps, principal, answer, idempotency).catch(async (error: unknown) => {
    if (!(error instanceof DomainError && error.code === 'TASK_NOT_WAITING')) throw inWordsOfResume(error, gate);
    throw tooLate(gate, await findWaitingGates(deps.db, principal.account_id, run_id));
  });
  return gate_id;
}

/** The oldest gate that is open, of the step or with the id that the request names. */
function pickGate(run: WaitingRun, { step_id, gate_id }: Resume): WaitingGate {
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
  return error instanceof DomainError && error.code === 'NOT_FOUND' ? notFound('Run') : error;
}

/** Somebody else has answered the question; that does not answer the others. */
function tooLate({ gate_id }: WaitingGate, run: WaitingRun | undefined): DomainError {
  const others = (run?.gates ?? []).map((gate) => `${gate.step_id ?? gate.task_id} (${gate.gate_id})`);
  const rest = others.length > 0 ? ` The run still waits for ${others.join(', ')}: name one by its \`gate_id\`.` : '';
  const run_status = run ? wireStatus(run.status) : 'running';
  return new DomainError('RUN_NOT_PAUSED', `Another answer to ${gate_id} came first.${rest}`, {
    members: { run_status },
  });
}

/**
 * Human steps take the fields; other gates a decision, alone as a text or with `output` or `notes`, which mean the same. A
 * call is not made, and no money granted, because something was said.
 */
function answerTo({ kind, decisions }: WaitingGate, response: Response): { decision?: Decision; output: GivenOutput } {
  if (kind === 'human_step') return { output: response };
  const { decision, output, notes, ...unknown } = typeof response === 'string' ? { decision: response } : response;
  const word = typeof decision === 'string' ? decision.trim().toLowerCase() : undefined;
  const decided = decisions.find((each) => each === word);
  const faults = Object.keys(unknown).map((name) => fault(name, 'is not taken here: send `decision` and `output`'));
  if (!decided) faults.push(fault('decision', `must be one of ${decisions.join(', ')}`));
  if (isGiven(output) && isGiven(notes)) faults.push(fault('notes', 'means the same as `output`: send one of them'));
  requireNone(faults);
  return { decision: decided!, output: (isGiven(output) ? output : (notes ?? null)) as GivenOutput };
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

function fault(member: string, detail: string): FieldFault {
  return { path: ['response', member], detail };
}
