import type { Db } from '../../db/index.ts';
import type { LiveSender } from '../../db/live.ts';
import type { SourceTask } from '../../db/reruns.ts';
import { acceptSteering, mostSteerings, type Steered, type SteeredSource, type Wish } from '../../db/steering.ts';
import { ancestors } from '../../workflows/contract/graph.ts';
import { hasEnded } from '../../workflows/contract/states.ts';
import { isLeftOut, tasksAfter } from '../../workflows/contract/steering.ts';
import { doingOf, type Principal, type Remark } from '../accounts/principal.ts';
import { DomainError, InvalidInputError, notFound } from '../errors.ts';
import { newId, type IdSeed } from '../ids.ts';
import type { Outbox } from '../temporal/outbox.ts';

type SteerDeps = { db: Db; outbox: Outbox; live: LiveSender };

/** What is wanted of a task; `text` is the feedback of a retry, or the output of the others. */
export type SteerRequest = Remark & {
  run_id: string;
  task_id: string;
  action: Wish['action'];
  text?: string;
};

/**
 * Has a task of a run under way done again with all that builds on it (`retry`), its output replaced and only what builds on it
 * done again (`correct`), left out with or without an output (`skip`), or ended with all that builds on it (`cancel`). Returns
 * the tasks that are done again. Throws `NOT_FOUND`, `RUN_FINISHED`, `RUN_NOT_OF_GOAL`, `RUN_NOT_READY` while there is no
 * plan, `TASK_NOT_READY` when the task is not so that it could, and `STEERED_TOO_OFTEN`.
 */
export function steerTask(
  deps: SteerDeps,
  principal: Principal,
  request: SteerRequest,
  idempotency: IdSeed | undefined,
): Promise<Steered> {
  const { action, task_id, text = null } = request;
  return steer(deps, principal, request, idempotency, (source) => {
    const task = getTask(source, task_id);
    const fault = faultOf(action, task, source.tasks, text !== null);
    if (fault) throw notReady(task, fault);
    return { action, task_id, text, ...affectedBy(action, task, source.tasks) };
  });
}

/**
 * Answers the gate at which a task of a person waits: no, the task `send_back_to` before it is to be done again with the
 * feedback, and all that builds on it. Returns those. Throws what `steerTask` does, `TASK_NOT_WAITING`, and
 * `InvalidInputError` at `send_back_to` and `output`.
 */
export function sendBack(
  deps: SteerDeps,
  principal: Principal,
  answer: Remark & { run_id: string; task_id: string; gate_id?: string; send_back_to: string; output: string },
  idempotency: IdSeed | undefined,
): Promise<Steered> {
  const { task_id, send_back_to, output: text } = answer;
  return steer(deps, principal, answer, idempotency, (source) => {
    const { gate, tasks } = source;
    const task = getTask(source, task_id);
    const isMeant = answer.gate_id === undefined || answer.gate_id === gate?.gate_id;
    if (gate?.status !== 'open' || !isMeant) {
      const message = `The task is ${task.status} and waits for no such answer.`;
      throw new DomainError('TASK_NOT_WAITING', message, { members: { task_status: task.status } });
    }
    if (!ancestors(tasks, task_id).includes(send_back_to)) {
      throw new InvalidInputError([{ path: ['send_back_to'], detail: `is not a task before ${task_id} in the plan` }]);
    }
    const target = getTask(source, send_back_to);
    const affected = affectedBy('retry', target, tasks);
    return { action: 'retry', task_id: send_back_to, text, gate_id: gate.gate_id, ...affected };
  });
}

async function steer(
  { db, outbox, live }: SteerDeps,
  principal: Principal,
  { run_id, task_id, ...remark }: Remark & { run_id: string; task_id: string },
  idempotency: IdSeed | undefined,
  decide: (source: SteeredSource) => Wish,
): Promise<Steered> {
  const { account_id, person_id } = principal;
  const request_id = newId('request', idempotency);
  const request = { account_id, person_id, run_id, task_id, request_id, ...doingOf(principal, remark) };
  const steered = await acceptSteering(db, request, (source) => {
    requireUnderway(source);
    return decide(source);
  });
  if (!steered) throw notFound('Run');
  outbox.send(steered.entry);
  live.changed(run_id);
  return steered;
}

function requireUnderway({ run, tasks }: SteeredSource): void {
  const refuse = (code: 'RUN_FINISHED' | 'RUN_NOT_OF_GOAL' | 'RUN_NOT_READY' | 'STEERED_TOO_OFTEN', message: string) =>
    new DomainError(code, message, { members: { run_status: run.status } });
  if (run.kind === 'orchestration')
    throw refuse('RUN_NOT_OF_GOAL', 'This is the run of an orchestration, whose steps are not changed.');
  if (run.kind === 'agent')
    throw refuse(
      'RUN_NOT_OF_GOAL',
      'This is the run of one agent, whose only task is not changed. Cancel or rerun it.',
    );
  if (hasEnded(run.status)) throw refuse('RUN_FINISHED', `The run is ${run.status}. Rerun it from the task.`);
  if (run.queued_at !== null) throw refuse('RUN_NOT_READY', 'The run has not begun.');
  if (tasks.length === 0) throw refuse('RUN_NOT_READY', 'The run has no plan yet.');
  if (run.steered >= mostSteerings) {
    throw refuse('STEERED_TOO_OFTEN', `The tasks of a run are changed ${mostSteerings} times at most. Rerun it.`);
  }
}

function getTask({ tasks }: SteeredSource, task_id: string): SourceTask {
  const task = tasks.find(({ id }) => id === task_id);
  if (!task) throw notFound('Task');
  return task;
}

/** Why this cannot be done to a task as it is, if so. */
function faultOf(
  action: Wish['action'],
  task: SourceTask,
  tasks: SourceTask[],
  hasOutput: boolean,
): string | undefined {
  const { id, status } = task;
  switch (action) {
    case 'retry':
      return status === 'pending' ? `${id} has not begun.` : undefined;
    case 'correct':
      return status === 'completed' ? undefined : `${id} is ${status}, and has no output yet that could be corrected.`;
    case 'skip':
    case 'cancel': {
      if (hasEnded(status)) return `${id} is ${status}.`;
      const ended = action === 'skip' ? [id] : [id, ...tasksAfter(tasks, id).map((one) => one.id)];
      const isLeft = hasOutput || tasks.some((one) => !isLeftOut(one) && !ended.includes(one.id));
      return isLeft ? undefined : 'Nothing would be left of the run. Cancel the run.';
    }
  }
}

function affectedBy(
  action: Wish['action'],
  { id }: SourceTask,
  tasks: SourceTask[],
): Pick<Wish, 'redone' | 'cancelled' | 'stopped'> {
  const after = tasksAfter(tasks, id)
    .filter((task) => !isLeftOut(task))
    .map((task) => task.id);
  switch (action) {
    case 'retry':
      return { redone: [id, ...after], cancelled: [], stopped: [id, ...after] };
    case 'correct':
      return { redone: after, cancelled: [], stopped: after };
    case 'skip':
      return { redone: [], cancelled: [], stopped: [id] };
    case 'cancel':
      return { redone: [], cancelled: [id, ...after], stopped: [id, ...after] };
  }
}

function notReady({ status }: SourceTask, message: string): DomainError {
  return new DomainError('TASK_NOT_READY', message, { members: { task_status: status } });
}
