import { findGateAnsweredBy } from '../../../db/gates.ts';
import { findWaitingGates, type WaitingGate, type WaitingRun } from '../../../db/orchestration-runs.ts';
import type { GivenOutput } from '../../../workflows/contract/gate-rules.ts';
import type { Decision } from '../../../workflows/contract/states.ts';
import type { Principal, Remark } from '../../accounts/principal.ts';
import {
  DomainError,
  InvalidInputError,
  notFound,
  requireNone,
  type FieldFault,
  type ProblemMembers,
} from '../../errors.ts';
import { newId, type IdSeed } from '../../ids.ts';
import { answerTask } from '../../runs/answer.ts';
import { findGoingOn, type GoingOnDeps } from '../../runs/going-on.ts';
import { wireStatus } from './run-view.ts';

type Response = string | Record<string, unknown>;
type Resume = Remark & { response: Response; step_id?: string | null; gate_id?: string | null; attachments: string[] };

/**
 * Answers the gate at which a run waits; once, whoever else answers it too. The retry of a request whose answer stands is
 * taken for it. Returns the id of the gate. Throws `NOT_FOUND`, `RUN_NOT_PAUSED`, and `InvalidInputError` naming the member of
 * `response`.
 */
export async function resumeRun(
  deps: Parameters<typeof answerTask>[0] & GoingOnDeps,
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
  if (!gate) throw await notPaused(deps, run_id, run, resume);
  const { task_id, gate_id } = gate;
  const { note, on_behalf_of, attachments } = resume;
  const answer = { run_id, task_id, gate_id, ...answerTo(gate, resume.response), attachments, note, on_behalf_of };
  await answerTask(deps, principal, answer, idempotency).catch(async (error: unknown) => {
    if (!(error instanceof DomainError && error.code === 'TASK_NOT_WAITING')) throw inWordsOfResume(error, gate);
    throw tooLate(gate, await findWaitingGates(deps.db, principal.account_id, run_id), error.members.answer);
  });
  return gate_id;
}

/** The oldest gate that is open, of the step or with the id that the request names. */
function pickGate(run: WaitingRun, { step_id, gate_id }: Resume): WaitingGate | undefined {
  return run.gates.find(
    (open) =>
      (!step_id || open.step_id === step_id || open.task_id === step_id) && (!gate_id || open.gate_id === gate_id),
  );
}

/** Why there is nothing to answer. */
async function notPaused(
  deps: GoingOnDeps,
  run_id: string,
  { status }: WaitingRun,
  { step_id, gate_id }: Resume,
): Promise<DomainError> {
  const run_status = wireStatus(status);
  const refuse = (message: string) => new DomainError('RUN_NOT_PAUSED', message, { members: { run_status } });
  if (status === 'pending') {
    const { how, pending_for } = await findGoingOn(deps, run_id);
    if (pending_for) return refuse(how);
  }
  if (gate_id) return refuse(`The run does not wait for ${gate_id}.`);
  return refuse(step_id ? `Step "${step_id}" does not wait.` : `The run is ${run_status} and waits for nobody.`);
}

/** Clients of this API know runs that pause, and one member `response`: a form is all of it. */
function inWordsOfResume(error: unknown, { kind }: WaitingGate): unknown {
  if (error instanceof InvalidInputError) {
    return new InvalidInputError(
      error.faults.map(({ path, detail }) => ({
        path: path[0] === 'attachments' ? path : ['response', ...(kind === 'human_step' ? path.slice(1) : path)],
        detail,
      })),
    );
  }
  return error instanceof DomainError && error.code === 'NOT_FOUND' ? notFound('Run') : error;
}

/** The question does not wait any more: somebody else has answered it, or nobody in time. That does not answer the others. */
function tooLate({ gate_id }: WaitingGate, run: WaitingRun | undefined, answer: ProblemMembers['answer']): DomainError {
  const others = (run?.gates ?? []).map((gate) => `${gate.step_id ?? gate.task_id} (${gate.gate_id})`);
  const rest = others.length > 0 ? ` The run still waits for ${others.join(', ')}: name one by its \`gate_id\`.` : '';
  const run_status = run ? wireStatus(run.status) : 'running';
  const how = answer ? `Another answer to ${gate_id} came first.` : `The run does not wait for ${gate_id} any more.`;
  const members = { run_status, gate_id, ...(answer && { answer }) };
  return new DomainError('RUN_NOT_PAUSED', `${how}${rest}`, { members });
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
