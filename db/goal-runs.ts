import { sql } from 'kysely';
import { openingOf, type TaskAnswer } from '../workflows/contract/gate-rules.ts';
import type { FinalWork } from '../workflows/contract/inputs.ts';
import { finalOutputTask, isBesidePlan, isBudgetTask } from '../workflows/contract/plan.ts';
import { hasEnded, type GateState, type TaskProgress, type TaskState } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import type { Gate, Run, Task } from './schema.ts';

/** Runs of goals that are tried again: what each has done so far, as its rows and its events tell. */

export type GoalSoFar = {
  /** Those that a person has left out stay so; what else is not completed is to be done. None of a plan that is not made yet. */
  tasks: TaskState[];
  works: [task_id: string, TaskProgress][];
  /** Those that were accepted, and of which the try before never heard: their gates are open still. */
  answers: [gate_id: string, TaskAnswer][];
  openings: [task_id: string, number][];
  final_work: FinalWork;
};

type Told = { seq: number; type: string; data: Record<string, any>; created_at: string };

const types = [
  'run.planned',
  'task.started',
  'task.evaluated',
  'task.retrying',
  'task.completed',
  'task.retried',
  'task.corrected',
  'task.skipped',
  'task.cancelled',
  'gate.answered',
];

/**
 * What a run of a goal has done so far. An attempt that was under way goes on with its number: what was paid for it is in the
 * journal. Of what people have done to its tasks, only that counts which its workflow has heard of.
 */
export async function readGoalSoFar(db: Db, run: Pick<Run, 'run_id' | 'heard' | 'steered'>): Promise<GoalSoFar> {
  const { run_id } = run;
  const [rows, gates, events, paid] = await Promise.all([
    db.selectFrom('tasks').selectAll().where('run_id', '=', run_id).orderBy('position').execute(),
    db.selectFrom('gates').selectAll().where('run_id', '=', run_id).orderBy('opened_at').execute(),
    listTold(db, run_id),
    findFinalCall(db, run_id),
  ]);
  const planned = events.find(({ type }) => type === 'run.planned');
  const ids: string[] = planned?.data.tasks.map(({ id }: { id: string }) => id) ?? [];
  const last = finalOutputTask(ids.map((id) => ({ id }))).id;
  const heard = events.filter(({ data }) => data.n === undefined || data.n <= heardOf(run));

  const known = rows.filter((task) => ids.includes(task.id) || isBesidePlan(task) || (planned && task.id === last));
  const read = known.map((task) => {
    const own = gates.filter(({ task_id }) => task_id === task.id);
    return { task, own, ...readTask(task, own, events, heard) };
  });
  const openings = read.map(({ task, own }): [string, number] => [
    task.id,
    Math.max(0, ...own.map(({ gate_id }) => openingOf(gate_id))),
  ]);
  return {
    tasks: read.map(({ task, unheard, isLeftOut }) => stateOf(task, unheard, isLeftOut || isBudgetTask(task))),
    works: read.flatMap(({ task, work }) => (ids.includes(task.id) ? [[task.id, work]] : [])),
    answers: read.flatMap(({ unheard }) => (unheard ? [[unheard.gate_id, answerOf(unheard)]] : [])),
    openings,
    final_work: {
      attempt: finalAttempt(paid, heard),
      remarks: read
        .filter(({ task }) => planned && task.id === last)
        .flatMap(({ own, unheard }) => own.filter((gate) => gate !== unheard && sendsBack(gate)))
        .flatMap(({ answer_id }) => answer_id ?? []),
    },
  };
}

/** The tasks that are to be done when the run is tried again; as long as there is no plan, also those that were shown. */
export async function listUndone(db: Db, run: Pick<Run, 'run_id' | 'heard' | 'steered'>): Promise<string[]> {
  const { tasks, works } = await readGoalSoFar(db, run);
  const undone = tasks.filter(({ status }) => !hasEnded(status)).map(({ id }) => id);
  if (works.length > 0) return undone;
  const rows = await db.selectFrom('tasks').select('id').where('run_id', '=', run.run_id).execute();
  return [...undone, ...rows.filter((task) => !isBesidePlan(task)).map(({ id }) => id)];
}

/** The number of the last thing done to its tasks that its workflow has heard of. Not known of runs of 0.1.0, which hear of none. */
export function heardOf({ heard, steered }: Pick<Run, 'heard' | 'steered'>): number {
  return heard ?? steered;
}

async function listTold(db: Db, run_id: string): Promise<Told[]> {
  return db
    .selectFrom('run_events')
    .select(['seq', 'type', 'data', 'created_at'])
    .where('run_id', '=', run_id)
    .where('type', 'in', types)
    .orderBy('seq')
    .execute();
}

/** The newest answer of a model that was to be the final output. */
async function findFinalCall(db: Db, run_id: string): Promise<{ attempt: number; created_at: string } | undefined> {
  const { rows } = await sql<{ attempt: number; created_at: string }>`
    select split_part(call_id, '/', 3)::integer as attempt, created_at
    from llm_calls where run_id = ${run_id} and purpose = 'finalize_run'
    order by 1 desc, 2 desc limit 1`.execute(db);
  return rows[0];
}

/** That of the answer which was paid for already, unless something was said or done since. */
function finalAttempt(paid: { attempt: number; created_at: string } | undefined, heard: Told[]): number {
  if (!paid) return 1;
  const isOld = heard.some(({ type, created_at }) => type !== 'task.started' && created_at > paid.created_at);
  return isOld ? paid.attempt + 1 : paid.attempt;
}

function readTask(
  task: Task,
  gates: Gate[],
  events: Told[],
  heard: Told[],
): { work: TaskProgress; unheard: Gate | undefined; isLeftOut: boolean } {
  const unheard = findUnheard(task, gates.at(-1), events);
  let work: TaskProgress = { failures: 0, feedback_id: null, trouble: null, is_underway: false };
  let draft_id: string | null = null;
  let said_id: string | null = null;
  let isLeftOut = false;
  for (const { type, data } of heard) {
    if (isBegunAnew(task, data)) {
      const isNamed = data.task_id === task.id;
      const { feedback_id = null, feedback } = isNamed ? data : {};
      work = { failures: 0, feedback_id, trouble: feedback ? { reason: feedback } : null, is_underway: false };
      [draft_id, said_id, isLeftOut] = [isNamed ? draft_id : null, null, false];
    }
    if (data.task_id !== task.id) continue;
    const isBefore = data.attempt < task.attempts;
    if (type === 'task.skipped') isLeftOut = !data.output_id;
    if (type === 'task.completed') draft_id = data.output_id;
    if (type === 'task.started' && data.attempt === task.attempts) {
      work.is_underway = (data.round ?? 0) === task.round;
    }
    if (type === 'task.evaluated' && isBefore) [draft_id, said_id] = [data.output_id, data.feedback_id ?? null];
    if (type === 'task.retrying' && isBefore) [work.failures, work.feedback_id] = [work.failures + 1, said_id];
    const answered = type === 'gate.answered' && gates.find(({ gate_id }) => gate_id === data.gate_id);
    if (answered && answered !== unheard && answered.kind !== 'tool_approval' && sendsBack(answered)) {
      const feedback_id = answered.decision === 'reject' ? answered.answer_id : (said_id ?? work.feedback_id);
      work = { ...work, failures: 0, feedback_id };
    }
  }
  if (work.is_underway) work.loop = { turn: 1, pending: [], draft_id };
  // The answer is to what is wrong with the attempt that was made last.
  if (unheard && task.kind === 'ai') {
    work.is_underway = false;
    if (unheard.kind === 'escalation') work.trouble = { reason: unheard.reason ?? '', ...feedbackOf(task, heard) };
  }
  return { work, unheard, isLeftOut };
}

/** Whether a person had this task begun anew, by itself or with another one. */
function isBegunAnew({ id }: Task, { n, redone }: Record<string, any>): boolean {
  return n !== undefined && (redone as string[] | undefined)?.includes(id) === true;
}

/**
 * The gate that was answered last, when nothing has come of the answer. What was said about the call of a tool is asked again:
 * it may have been made.
 */
function findUnheard(task: Task, gate: Gate | undefined, events: Told[]): Gate | undefined {
  if (gate?.status !== 'answered' || gate.kind === 'tool_approval' || gate.kind === 'budget') return undefined;
  if (task.status === 'completed' || task.status === 'cancelled') return undefined;
  const isOfTask = ({ data }: Told) => data.task_id === task.id || isBegunAnew(task, data);
  const answered = events.find(({ type, data }) => type === 'gate.answered' && data.gate_id === gate.gate_id);
  const isHeard = events.some((told) => isOfTask(told) && told.seq > (answered?.seq ?? 0) && told !== answered);
  return isHeard ? undefined : gate;
}

function sendsBack({ status, decision }: Gate): boolean {
  return status === 'answered' && (decision === 'reject' || decision === 'retry');
}

/** What the evaluation of the newest attempt says is to be done better. */
function feedbackOf({ id, attempts }: Task, heard: Told[]): { feedback_id?: string } {
  const judged = heard.findLast(({ type, data }) => type === 'task.evaluated' && data.task_id === id);
  const { attempt, feedback_id } = judged?.data ?? {};
  return attempt === attempts && feedback_id ? { feedback_id } : {};
}

function answerOf({ gate_id, task_id, decision, answer_id }: Gate): TaskAnswer {
  return { gate_id, task_id, decision: decision!, output_id: answer_id };
}

function stateOf(
  { id, title, kind, agent, model, depends_on, status, attempts, output_id, evaluation, error, round }: Task,
  unheard: Gate | undefined,
  isOver: boolean,
): TaskState {
  const known = { id, title, kind, agent, model, depends_on, attempts, output_id, evaluation, error };
  const isToBeDone = unheard !== undefined || !(isOver || status === 'completed' || status === 'cancelled');
  return {
    ...known,
    status: unheard ? 'running' : isToBeDone ? 'pending' : status,
    gate: unheard ? openGate(unheard) : null,
    ...(round > 0 && { round }),
  };
}

/** It has its answer, so nobody is reminded of it. */
function openGate({ gate_id, task_id, kind, reason, decisions, opened_at }: Gate): GateState {
  const never = { due_at: null, reminders: 0, overdue_at: null };
  return { gate_id, task_id, kind, status: 'open', reason, decisions, opened_at, ...never };
}
