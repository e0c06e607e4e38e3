import type { Transaction } from 'kysely';
import type { Db } from './index.ts';
import type { Actor, Database, Mode, Run } from './schema.ts';

/** Rows of runs, for those who work on them. */

/** The run's row, for those who work on it. Throws when there is none. */
export function getRun(db: Db, run_id: string): Promise<Run> {
  return db.selectFrom('runs').selectAll().where('run_id', '=', run_id).executeTakeFirstOrThrow();
}

/** The run's row; undefined when there is none, as of one that was purged. */
export function findRun(db: Db, run_id: string): Promise<Run | undefined> {
  return db.selectFrom('runs').selectAll().where('run_id', '=', run_id).executeTakeFirst();
}

/** The run's row; undefined when this account has none of this id. */
export function findOwnRun(db: Db, account_id: string, run_id: string): Promise<Run | undefined> {
  return db
    .selectFrom('runs')
    .selectAll()
    .where('run_id', '=', run_id)
    .where('account_id', '=', account_id)
    .executeTakeFirst();
}

/** Whether a run is a test; undefined when this account has none of this id. */
export async function findRunMode(db: Db, account_id: string, run_id: string): Promise<Mode | undefined> {
  const run = db.selectFrom('runs').select('mode').where('run_id', '=', run_id).where('account_id', '=', account_id);
  return (await run.executeTakeFirst())?.mode;
}

/** Whose run it is; null of one that is purged. Throws when there is no such run. */
export async function getAccountOf(db: Db, run_id: string): Promise<string | null> {
  const run = db.selectFrom('runs').select('account_id').where('run_id', '=', run_id);
  return (await run.executeTakeFirstOrThrow()).account_id;
}

/** Locks a run for a change by its account. Undefined when this account has none of this id. */
export async function lockOwnRun(trx: Transaction<Database>, account_id: string, run_id: string) {
  return trx
    .selectFrom('runs')
    .selectAll()
    .where('run_id', '=', run_id)
    .where('account_id', '=', account_id)
    .forUpdate()
    .executeTakeFirst();
}

/** Who has something done to a run, and why. */
export type Doing = { by: Actor; note?: string };
