import { sql } from 'kysely';
import type { RunStatus } from '../workflows/contract/states.ts';
import type { Db } from './index.ts';

/** An event of a run as it is told: `seq` counts from 1 without a gap. */
export type StoredEvent = { seq: number; type: string; data: Record<string, unknown>; created_at: string };

/** How far a run is. */
export type RunPlace = { status: RunStatus; event_seq: number };

/** Where this account's run is, or undefined when it has none of this id. */
export function findRunPlace(db: Db, account_id: string, run_id: string): Promise<RunPlace | undefined> {
  return db
    .selectFrom('runs')
    .select(['status', 'event_seq'])
    .where('run_id', '=', run_id)
    .where('account_id', '=', account_id)
    .executeTakeFirst();
}

/** What the event of this key says; undefined when the run has none. */
export async function findEventData(
  db: Db,
  run_id: string,
  event_key: string,
): Promise<Record<string, any> | undefined> {
  const event = db.selectFrom('run_events').select('data').where('run_id', '=', run_id);
  return (await event.where('event_key', '=', event_key).executeTakeFirst())?.data;
}

/** Which event of the run tells of the answer at this gate. */
export async function getAnswerSeq(db: Db, run_id: string, gate_id: string): Promise<number> {
  const { seq } = await db
    .selectFrom('run_events')
    .select('seq')
    .where('run_id', '=', run_id)
    .where('event_key', '=', `answer/${gate_id}`)
    .executeTakeFirstOrThrow();
  return seq;
}

/** Where each of these runs is. */
export function listRunPlaces(db: Db, run_ids: string[]): Promise<(RunPlace & { run_id: string })[]> {
  return db
    .selectFrom('runs')
    .select(['run_id', 'status', 'event_seq'])
    .where('run_id', '=', sql<string>`any(${run_ids})`)
    .execute();
}

/** The next events of a run after `seq`, oldest first, and where the run is in the same moment. Undefined when it is gone. */
export async function readEvents(
  db: Db,
  run_id: string,
  seq: number,
  limit: number,
): Promise<(RunPlace & { events: StoredEvent[] }) | undefined> {
  const rows = await db
    .selectFrom('runs')
    .leftJoin('run_events', (join) =>
      join.onRef('run_events.run_id', '=', 'runs.run_id').on('run_events.seq', '>', seq),
    )
    .select(['status', 'event_seq', 'seq', 'type', 'data', 'run_events.created_at'])
    .where('runs.run_id', '=', run_id)
    .orderBy('seq')
    .limit(limit)
    .execute();
  if (!rows[0]) return undefined;
  const { status, event_seq } = rows[0];
  const events = rows.filter((row) => row.seq !== null) as StoredEvent[];
  return {
    status,
    event_seq,
    events: events.map(({ seq, type, data, created_at }) => ({ seq, type, data, created_at })),
  };
}
