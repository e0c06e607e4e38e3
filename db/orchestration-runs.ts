import { sql, type ExpressionBuilder, type Transaction } from 'kysely';
import { jsonArrayFrom } from 'kysely/helpers/postgres';
import type { Decision, GateKind, RunStatus, StepMark, TaskState } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';
import { accountWithRoom, asLimitReached } from './limits.ts';
import { insertOutboxEntry, type OutboxEntry } from './outbox.ts';
import { appendEvents } from './progress.ts';
import { takeQuota, type RunQuota } from './runs.ts';
import type { Database } from './schema.ts';

/** Orchestrations as runs: what is done to them, and what that needs to know. */

/** Whether this account has a run of an orchestration of this id. */
export async function isOrchestrationRun(db: Db, account_id: string, run_id: string): Promise<boolean> {
  const run = await db
    .selectFrom('runs')
    .select('run_id')
    .where('run_id', '=', run_id)
    .where('account_id', '=', account_id)
    .where('kind', '=', 'orchestration')
    .executeTakeFirst();
  return run !== undefined;
}

/** What is needed to answer a gate. */
export type WaitingGate = {
  gate_id: string;
  task_id: string;
  kind: GateKind;
  decisions: Decision[];
  step_id: string | null;
};

/** The open gates of the run in the query, the oldest first, with the columns of a `WaitingGate`. */
export function openGatesOf(eb: ExpressionBuilder<Database, 'runs'>) {
  return eb
    .selectFrom('gates')
    .innerJoin('tasks', (join) =>
      join.onRef('tasks.run_id', '=', 'gates.run_id').onRef('tasks.id', '=', 'gates.task_id'),
    )
    .select(['gate_id', 'task_id', 'gates.kind', 'decisions'])
    .select(sql<string | null>`step ->> 'step_id'`.as('step_id'))
    .whereRef('gates.run_id', '=', 'runs.run_id')
    .where('gates.status', '=', 'open')
    .orderBy('opened_at')
    .orderBy('position');
}

export type WaitingRun = { status: RunStatus; gates: WaitingGate[] };

/** The open gates of the run of an orchestration, the oldest first; undefined when this account has none of this id. */
export async function findWaitingGates(db: Db, account_id: string, run_id: string): Promise<WaitingRun | undefined> {
  return db
    .selectFrom('runs')
    .select('status')
    .select((eb) => jsonArrayFrom(openGatesOf(eb)).as('gates'))
    .where('account_id', '=', account_id)
    .where('run_id', '=', run_id)
    .where('kind', '=', 'orchestration')
    .executeTakeFirst();
}

/**
 * What a run has done so far, for one that is tried again. The output of a human step that was not done is an answer that
 * was accepted, and of which the try before never heard.
 */
export async function listStepTasks(db: Db, run_id: string): Promise<TaskState[]> {
  const rows = await db
    .selectFrom('tasks')
    .select(['id', 'title', 'kind', 'agent', 'model', 'depends_on', 'status', 'attempts'])
    .select(['evaluation', 'error', 'step'])
    .select((eb) =>
      eb.fn
        .coalesce(
          'output_id',
          eb
            .selectFrom('gates')
            .select('answer_id')
            .whereRef('gates.run_id', '=', 'tasks.run_id')
            .whereRef('gates.task_id', '=', 'tasks.id')
            .where('gates.kind', '=', 'human_step'),
        )
        .as('output_id'),
    )
    .where('run_id', '=', run_id)
    .where('step', 'is not', null)
    .$narrowType<{ step: StepMark }>()
    .orderBy('position')
    .execute();
  return rows.map((task) => ({ ...task, gate: null }));
}

/** A workflow task that was lost with its worker is made again, and writes anew that the try before has failed. */
const versionsPerTry = 1_000_000;

/**
 * Begins a failed run anew, where it stopped, once for each request. Returns the status that it had, or undefined when this
 * account has no such run of an orchestration; only one that has failed is begun again, and only within the quota of one on
 * its provider.
 * Throws `LimitReached` when the account has as many unfinished runs as it may have.
 */
export function retryRun(
  db: Db,
  account_id: string,
  { run_id, request_id }: { run_id: string; request_id: string },
  quotaOn: (provider_id: string | null) => RunQuota,
): Promise<{ before: RunStatus; refused?: 'trial' | 'monthly'; entry?: OutboxEntry } | undefined> {
  return db.transaction().execute(async (trx) => {
    const run = await trx
      .selectFrom('runs')
      .select(['status', 'attempt', 'provider_id'])
      .where('run_id', '=', run_id)
      .where('account_id', '=', account_id)
      .where('kind', '=', 'orchestration')
      .forNoKeyUpdate()
      .executeTakeFirst();
    if (!run || run.status !== 'failed') return run && { before: run.status };
    const key = `retried/${request_id}`;
    const begun = await trx
      .selectFrom('run_events')
      .select('seq')
      .where('run_id', '=', run_id)
      .where('event_key', '=', key)
      .executeTakeFirst();
    if (begun) return { before: run.status };
    const quota = quotaOn(run.provider_id);
    const refused = await takeQuota(trx, account_id, quota);
    if (refused) return { before: run.status, refused };
    await requireRoom(trx, account_id, quota.unfinished);
    const attempt = run.attempt + 1;
    await trx
      .updateTable('runs')
      .set({ status: 'pending', error: null, completed_at: null, attempt, version: sql`version + ${versionsPerTry}` })
      .where('run_id', '=', run_id)
      .execute();
    await appendEvents(trx, run_id, [{ key, type: 'run.retried', data: { attempt } }]);
    return { before: run.status, entry: await insertOutboxEntry(trx, { run_id }, { kind: 'start' }) };
  });
}

async function requireRoom(trx: Transaction<Database>, account_id: string, most: number): Promise<void> {
  await sql`select ${accountWithRoom(account_id, most)}`.execute(trx).catch((error: unknown) => {
    throw asLimitReached(error, most);
  });
}
