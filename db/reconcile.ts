import { sql, type RawBuilder, type Transaction } from 'kysely';
import { eventOf } from '../workflows/contract/events.ts';
import { hasEnded, type Decision } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import { dueEntry } from './outbox.ts';
import { appendEvents } from './progress.ts';
import type { Database, Gate, OutboxMessage, Run } from './schema.ts';
import { sendSteeringsAgain } from './steering.ts';
import { insertEndDelivery, webhooksPerTry } from './webhooks.ts';

/** What Postgres has of runs, to compare it with what Temporal knows of them, and how it is brought to that. */

/** A gate at which a person is asked, or that was decided. Not one whose answer has sent another task back. */
export type StoredGate = Pick<Gate, 'gate_id' | 'task_id' | 'decision' | 'answer_id'> & {
  status: 'open' | 'answered' | 'expired';
};

export type StoredRun = Pick<
  Run,
  | 'run_id'
  | 'account_id'
  | 'status'
  | 'attempt'
  | 'version'
  | 'version_base'
  | 'writers'
  | 'steered'
  | 'held_at'
  | 'queued_at'
  | 'event_seq'
> & {
  gates: StoredGate[];
  /** How many messages wait to be told to Temporal. */
  undelivered: number;
};

function storedRuns(where: RawBuilder<unknown>): RawBuilder<StoredRun> {
  return sql<StoredRun>`
    select run_id, account_id, status, attempt, version, version_base, writers, steered, held_at, queued_at,
      event_seq,
      (select count(*) from outbox where outbox.run_id = runs.run_id) as undelivered,
      (select coalesce(json_agg(json_build_object('gate_id', gate_id, 'task_id', task_id, 'status', status,
          'decision', decision, 'answer_id', answer_id) order by answered_at), '[]')
       from gates where gates.run_id = runs.run_id and status in ('open', 'answered', 'expired')
         and gate_id <> all (array(
           select data ->> 'gate_id' from run_events as sent_back
           where sent_back.run_id = runs.run_id and type = 'task.retried' and data ? 'gate_id'))) as gates
    from runs where ${where}`;
}

export async function findStoredRun(db: Db, run_id: string): Promise<StoredRun | undefined> {
  const { rows } = await storedRuns(sql`run_id = ${run_id}`).execute(db);
  return rows[0];
}

/** Up to `limit` runs that have not ended, by their ids, after this one; those of one account, if it is given. */
export async function listUnfinishedAfter(
  db: Db,
  after: string,
  limit: number,
  account_id?: string,
): Promise<string[]> {
  let runs = db.selectFrom('runs').select('run_id').where('run_id', '>', after);
  if (account_id !== undefined) runs = runs.where('account_id', '=', account_id);
  const unfinished = runs.where('status', 'in', ['pending', 'running', 'waiting_human']);
  return (await unfinished.orderBy('run_id').limit(limit).execute()).map(({ run_id }) => run_id);
}

/** These runs without those that Postgres has unfinished. */
export async function withoutUnfinished(db: Db, run_ids: string[]): Promise<string[]> {
  const { rows } = await sql<{ run_id: string }>`
    select run_id from unnest(${run_ids}::text[]) as given(run_id)
    where not exists (
      select from runs where runs.run_id = given.run_id and status in ('pending', 'running', 'waiting_human'))`.execute(
    db,
  );
  return rows.map(({ run_id }) => run_id);
}

/** Those of these texts, by their ids, that Postgres does not have. */
export async function listMissingTexts(db: Db, text_ids: string[]): Promise<string[]> {
  const { rows } = await sql<{ text_id: string }>`
    select text_id from unnest(${text_ids}::text[]) as given(text_id)
    where not exists (select from texts where texts.text_id = given.text_id) order by text_id`.execute(db);
  return rows.map(({ text_id }) => text_id);
}

/** Has Temporal told this of a run. */
export async function tell(db: Db, run_id: string, messages: OutboxMessage[]): Promise<void> {
  if (messages.length === 0) return;
  const entries = messages.map((message) => dueEntry(run_id, message));
  await db.insertInto('outbox').values(entries).execute();
}

/** An answer as Temporal is told of it. What nobody has decided in time, and the run went on, was approved. */
function answerOf({ task_id, gate_id, decision, answer_id }: StoredGate): OutboxMessage {
  return { kind: 'complete_task', task_id, gate_id, decision: decision ?? 'approve', output_id: answer_id };
}

/**
 * Has a run begun anew by another workflow, which does what is left and hears all that was said at gates and to tasks. Its
 * readers are told why, where something is done twice. False, and nothing happens, when the run has changed since it was read.
 */
export function startAgain(db: Db, run: StoredRun, warning?: string): Promise<boolean> {
  return whileAsRead(db, run, async (trx) => {
    const { run_id, gates } = run;
    const decided = gates.filter(({ status }) => status !== 'open');
    // A goal that failed before asks anew, at gates of their own.
    await sql`update gates set status = 'closed' where status = 'open' and run_id = (
      select run_id from runs where run_id = ${run_id} and kind = 'goal' and attempt > 1)`.execute(trx);
    await tell(trx, run_id, [{ kind: 'start', isAgain: true }, ...decided.map(answerOf)]);
    await sendSteeringsAgain(trx, run_id, 0);
    if (warning === undefined) return;
    await trx
      .updateTable('runs')
      .set({ start_warnings: sql`start_warnings || to_jsonb(${warning}::text)` })
      .where('run_id', '=', run_id)
      .where(sql<boolean>`not start_warnings ? ${warning}`)
      .execute();
    await appendEvents(trx, run_id, [eventOf('run.warning', { warning })]);
  });
}

/** Has Temporal told what it has lost: these answers, and what was steered after this number. */
export function tellAgain(db: Db, run: StoredRun, unheard: StoredGate[], steered: number): Promise<boolean> {
  return whileAsRead(db, run, async (trx) => {
    await tell(trx, run.run_id, unheard.map(answerOf));
    await sendSteeringsAgain(trx, run.run_id, steered);
  });
}

/**
 * Takes whatever this execution of the workflow writes as newer than all that stands here: it is one of before, and counts on from
 * there. One that goes on, and waits for the release of its run, looks again.
 */
export function countOn(
  db: Db,
  run: StoredRun,
  { execution, goesOn }: { execution: string; goesOn: boolean },
): Promise<boolean> {
  return whileAsRead(db, run, async (trx) => {
    const writers = sql<string[]>`array_append(array_remove(writers, ${execution}), ${execution})`;
    const changed = { writers, version_base: sql<number>`version` };
    await trx.updateTable('runs').set(changed).where('run_id', '=', run.run_id).execute();
    if (goesOn && !run.held_at) await tell(trx, run.run_id, [{ kind: 'release' }]);
  });
}

type HeardAnswer = { gate_id: string; decision?: Decision; output_id?: string | null };

/**
 * Notes what the workflow of a run has heard and Postgres no longer knows: steerings, decisions at gates, the number of the try,
 * and that it has begun.
 */
export function noteHeard(
  db: Db,
  run: StoredRun,
  { steered, attempt, answers }: { steered: number; attempt: number; answers: HeardAnswer[] },
): Promise<void> {
  const { run_id } = run;
  return db.transaction().execute(async (trx) => {
    await trx
      .updateTable('runs')
      .set({
        steered: sql`greatest(steered, ${steered}::integer)`,
        attempt: sql`greatest(attempt, ${attempt}::integer)`,
        queued_at: null,
      })
      .where('run_id', '=', run_id)
      .execute();
    for (const { gate_id, decision = 'approve', output_id = null } of answers) {
      const answered = await trx
        .updateTable('gates')
        .set({ status: 'answered', decision, answer_id: output_id, answered_at: sql<string>`now()` })
        .where('gate_id', '=', gate_id)
        .where('run_id', '=', run_id)
        .where('status', 'in', ['open', 'answered'])
        .where('decision', 'is', null)
        .returning('task_id')
        .executeTakeFirst();
      if (!answered) continue;
      const data = { ...answered, gate_id, decision };
      await appendEvents(trx, run_id, [{ key: `answer/${gate_id}`, type: 'gate.answered', data }]);
    }
  });
}

/** Has the webhook of a run told of its end, unless one has been. */
export async function tellEnd(db: Db, run_id: string): Promise<void> {
  const isTold = sql<boolean>`exists (
    select from webhook_deliveries as told
    where told.run_id = runs.run_id and told.event = runs.status and told.subscription_id is null
      and (attempt = 1 or told.delivery_id like '%-' || attempt
        or substring(told.delivery_id, '_([0-9]+)$')::bigint > (attempt - 1) * ${webhooksPerTry}))`;
  const run = await db
    .selectFrom('runs')
    .select(['status', 'attempt'])
    .where('run_id', '=', run_id)
    .where('webhook_url', 'is not', null)
    .where(isTold, '=', false)
    .executeTakeFirst();
  if (!run || !hasEnded(run.status)) return;
  await insertEndDelivery(db, { run_id, ...run });
}

/** Makes a change to a run that is as it was read, with the run locked. */
function whileAsRead(
  db: Db,
  { run_id, status, version, attempt, event_seq }: StoredRun,
  change: (trx: Transaction<Database>) => Promise<void>,
): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    const run = await trx
      .selectFrom('runs')
      .select('run_id')
      .where('run_id', '=', run_id)
      .where('status', '=', status)
      .where('version', '=', version)
      .where('attempt', '=', attempt)
      .where('event_seq', '=', event_seq)
      .forUpdate()
      .executeTakeFirst();
    if (run) await change(trx);
    return run !== undefined;
  });
}
