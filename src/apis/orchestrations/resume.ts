import { findWaitingGates, type WaitingGate } from '../../../db/orchestration-runs.ts';
import { completeTask, findGateAnsweredBy } from '../../../db/gates.ts';
import type { Decision } from '../../../workflows/contract/states.ts';
import type { AppDeps } from '../../deps.ts';
import { ApiError, invalid, notFound } from '../../http/problems.ts';
import { newId, type IdSeed } from '../../ids.ts';
import { wireStatus } from './run-view.ts';

type Response = string | Record<string, unknown>;
type Resume = { response: Response; step_id?: string | null; gate_id?: string | null };

/**
 * Answers the gate at which a run waits; once, whoever else answers it too. The retry of a request whose answer stands is
 * taken for it. Throws 404, 409 when the run does not wait, and 422 naming the field that is wrong.
 */
export async function resumeRun(
  { db, outbox, live }: AppDeps,
  account_id: string,
  run_id: string,
  { response, step_id, gate_id }: Resume,
  idempotency: IdSeed | undefined,
): Promise<void> {
  const run = await findWaitingGates(db, account_id, run_id);
  if (!run) throw notFound('Run');
  const request_id = newId('request', idempotency);
  // The run may wait at its next gate by now, which this answer is not for.
  if (idempotency?.isRetry && (await findGateAnsweredBy(db, run_id, request_id))) return;
  const gate = run.gates.find(
    (open) =>
      (!step_id || open.step_id === step_id || open.task_id === step_id) && (!gate_id || open.gate_id === gate_id),
  );
  if (!gate) {
    const which = step_id
      ? `Step "${step_id}" does not wait`
      : `The run is ${wireStatus(run.status)} and waits for nobody`;
    throw new ApiError('RUN_NOT_PAUSED', gate_id ? `The run does not wait for ${gate_id}.` : `${which}.`, {
      run_status: wireStatus(run.status),
    });
  }
  const { task_id } = gate;
  const answer = { account_id, run_id, task_id, gate_id: gate.gate_id, request_id, ...answerTo(gate, response) };
  const completion = await completeTask(db, answer);
  switch (completion.result) {
    case 'accepted':
      outbox.send(completion.entry);
      return live.changed(run_id);
    case 'unknown':
      throw notFound('Run');
    case 'unfit':
      throw invalid(
        completion.faults.map(({ field, detail }) => ({ pointer: field ? `/response/${field}` : '/response', detail })),
      );
    case 'fault':
      throw invalid([{ pointer: `/response/${completion.field}`, detail: completion.detail }]);
    case 'not_waiting':
      if (completion.gate?.answered_by === request_id) return;
      throw new ApiError('RUN_NOT_PAUSED', 'Another answer came first.', { run_status: 'running' });
  }
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
    throw invalid([{ pointer: '/response/decision', detail: `must be one of ${gate.decisions.join(', ')}` }]);
  }
  if (typeof response === 'string') return { decision: 'approve', output: response };
  const { decision = 'approve', output, notes } = response;
  const text = output ?? notes;
  return { decision: decision as Decision, output: typeof text === 'string' ? text : null };
}
