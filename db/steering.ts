import { sql, type Transaction } from 'kysely';
import type { Steering } from '../workflows/contract/steering.ts';
import { mayAnswer } from './assignments.ts';
import { settleGate } from './gates.ts';
import type { Db } from './index.ts';
import { dueEntry, insertOutboxEntry, type OutboxEntry } from './outbox.ts';
import { appendEvents } from './progress.ts';
import { listPlannedTasks, type SourceTask } from './reruns.ts';
import { findEventData } from './run-events.ts';
import { lockOwnRun, type Doing } from './runs.ts';
import type { Database, Gate, Run } from './schema.ts';
import { insertTexts } from './texts.ts';

/** A run as it is when somebody steers it; `gate` is the newest of the task that is named. */
export type SteeredSource = { run: Run; tasks: SourceTask[]; gate: Gate | undefined };

/** What is to be done. `redone` are the tasks that are done again, in their order; `stopped` those that nothing is done for until then. */
export type Wish = Pick<Steering, 'action' | 'task_id'> & {
  redone: string[];
  cancelled: string[];
  stopped: string[];
  /** The feedback, or the output. */
  text: string | null;
  /** The gate that is answered with it. */
  gate_id?: string;
};

export type Steered = { redone: string[]; cancelled: string[]; gate_id?: string; entry?: OutboxEntry };

/** Each may have a text, is told to the workflow, and stays in the audit. */
export const mostSteerings = 200;
const previewLength = 200;

const eventTypes = {
  retry: 'task.retried',
  correct: 'task.corrected',
  skip: 'task.skipped',
  cancel: 'task.cancelled',
} as const;

/**
 * Accepts what a person wants to be done to a task: its text, the event, and the outbox entry that tells the workflow, with
 * the run locked. The run does not complete before its workflow has done it. A retry of the request finds what its first
 * try has accepted. `decide` may refuse it by an error. Undefined when this account has no such run, or `person_id` may not
 * answer the gate of the task.
 */
export function acceptSteering(
  db: Db,
  {
    account_id,
    run_id,
    task_id,
    request_id,
    person_id,
    ...doing
  }: Doing & Record<'account_id' | 'run_id' | 'task_id' | 'request_id', string> & { person_id: string | null },
  decide: (source: SteeredSource) => Wish,
): Promise<Steered | undefined> {
  return db.transaction().execute(async (trx) => {
    const run = await lockOwnRun(trx, account_id, run_id);
    if (!run) return undefined;
    const key = `steering/${request_id}`;
    const accepted = await findEventData(trx, run_id, key);
    if (accepted) return accepted as Steered;

    const tasks = await listPlannedTasks(trx, run_id);
    const found = { run, tasks, gate: await findNewestGate(trx, run_id, task_id) };
    if (person_id !== null && !(found.gate && (await mayAnswer(trx, person_id, found.gate.gate_id)))) return undefined;
    const wish = decide(found);
    const n = run.steered + 1;
    const text_id = await keepText(trx, { run_id, n, ...doing }, wish);
    await trx.updateTable('runs').set({ steered: n }).where('run_id', '=', run_id).execute();
    await closeGates(trx, found, wish);
    const { action, text, redone, cancelled } = wish;
    const refersTo = action === 'retry' ? 'feedback_id' : 'output_id';
    const data = {
      n,
      task_id: wish.task_id,
      gate_id: wish.gate_id,
      redone,
      cancelled,
      ...(text_id && { [refersTo]: text_id }),
      ...(action === 'retry' && text !== null && { feedback: previewOf(text) }),
      ...doing,
    };
    await appendEvents(trx, run_id, [{ key, type: eventTypes[action], data }]);
    const steering = steeringOf(n, wish, text_id);
    return {
      redone,
      cancelled,
      gate_id: wish.gate_id,
      entry: await insertOutboxEntry(trx, { run_id }, { kind: 'steer', steering }),
    };
  });
}

/** Nobody is asked any more what these tasks wait for: they show as running until their workflow has heard of it. */
async function closeGates(
  trx: Transaction<Database>,
  { run: { run_id }, tasks }: SteeredSource,
  { stopped, action }: Wish,
): Promise<void> {
  // The one at which a person helps with the final output is of no task of the plan.
  const plan = tasks.map(({ id }) => id);
  const goesBack = action === 'retry' || action === 'correct';
  const isFinal = sql<boolean>`(${goesBack}::boolean and gates.kind = 'escalation' and task_id <> all(${plan}))`;
  const closed = await trx
    .updateTable('gates')
    .set({ status: 'closed' })
    .where('run_id', '=', run_id)
    .where((where) => where.or([where('task_id', '=', sql<string>`any(${stopped})`), isFinal]))
    .where('status', '=', 'open')
    .returning('task_id')
    .execute();
  for (const { task_id } of closed) {
    const waiting = trx.updateTable('tasks').set({ status: 'running' }).where('run_id', '=', run_id);
    await waiting.where('id', '=', task_id).where('status', '=', 'waiting_human').execute();
  }
  const open = sql<boolean>`exists (select from gates where gates.run_id = runs.run_id and status = 'open')`;
  const run = trx.updateTable('runs').set({ status: 'running' }).where('run_id', '=', run_id);
  await run.where('status', '=', 'waiting_human').where(open, '=', false).execute();
}

/** Where its text is: an answer to a gate is where those are. */
async function keepText(
  trx: Transaction<Database>,
  { run_id, n, ...doing }: Doing & { run_id: string; n: number },
  { text, gate_id }: Wish,
): Promise<string | null> {
  if (gate_id !== undefined) {
    await settleGate(trx, { run_id, gate_id, decision: 'reject', output: text, ...doing });
    return gate_id;
  }
  if (text === null) return null;
  const text_id = `${run_id}/steering/${n}`;
  await insertTexts(trx, [{ text_id, run_id, text }]);
  return text_id;
}

/** `text` is the one of the id; of feedback, its beginning is enough. */
function steeringOf(
  n: number,
  { action, task_id, text }: Pick<Wish, 'action' | 'task_id' | 'text'>,
  text_id: string | null,
): Steering {
  switch (action) {
    case 'retry':
      return { n, action, task_id, feedback_id: text_id, reason: text === null ? null : previewOf(text) };
    case 'correct':
      return { n, action, task_id, output_id: text_id! };
    case 'skip':
      return { n, action, task_id, output_id: text_id };
    case 'cancel':
      return { n, action, task_id };
  }
}

function previewOf(text: string): string {
  return text.slice(0, previewLength).toWellFormed();
}

function findNewestGate(trx: Transaction<Database>, run_id: string, task_id: string): Promise<Gate | undefined> {
  return trx
    .selectFrom('gates')
    .selectAll()
    .where('run_id', '=', run_id)
    .where('task_id', '=', task_id)
    .orderBy('opened_at', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** Has the workflow of a run told once more what was accepted after this number; it does each once. */
export async function sendSteeringsAgain(db: Db, run_id: string, after: number): Promise<void> {
  const { rows: missing } = await sql<{ type: string; data: Record<string, any>; begun: Steering['begun'] }>`
    select type, data, (
      select json_object_agg(id, json_build_object(
        'attempts', (
          select coalesce(max((data ->> 'attempt')::integer), 0) from run_events as begun
          where begun.run_id = steered.run_id and begun.seq < steered.seq and type = 'task.started' and data ->> 'task_id' = id),
        'gates', (
          select coalesce(max(substring(data ->> 'gate_id', '_([0-9]+)$')::integer), 0) from run_events as begun
          where begun.run_id = steered.run_id and begun.seq < steered.seq and type = 'gate.opened' and data ->> 'task_id' = id)))
      from jsonb_array_elements_text(data -> 'redone') as redone(id)) as begun
    from run_events as steered
    where run_id = ${run_id} and type = any(${Object.values(eventTypes)}) and (data ->> 'n')::integer > ${after}
    order by seq`.execute(db);
  if (missing.length === 0) return;
  const messages = missing.map(({ type, data, begun }) => {
    const action = (Object.keys(eventTypes) as Wish['action'][]).find((each) => eventTypes[each] === type)!;
    const { n, task_id, feedback = null, feedback_id = null, output_id = null } = data;
    const steering = steeringOf(n, { action, task_id, text: feedback }, feedback_id ?? output_id);
    return dueEntry(run_id, { kind: 'steer', steering: begun ? { ...steering, begun } : steering });
  });
  await db.insertInto('outbox').values(messages).execute();
}
