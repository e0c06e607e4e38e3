import type { Db } from '../db/index.ts';
import { tablesThatSay, tablesWith } from '../test/harness/rows.ts';
import type { Entry } from './journal.ts';
import type { CallEntry, DeliveryEntry } from './outside.ts';

/** A run that its client has had purged, and what is there of it. */
export type Purged = {
  run_id: string;
  account: string;
  /** All that was asked about it. */
  asked: Entry[];
  /** The tables that have rows of it. */
  left: string[];
  /** Those in which the words of it stand, the journal of deliveries apart. */
  told: string[];
  /** Its account has it yet. */
  isThere: boolean;
  /** Other runs that were begun by the request that began it. */
  again: string[];
  /** How many webhooks of it are on their way. */
  pending: number;
  received: DeliveryEntry[];
  /** When its models were asked, in milliseconds since 1970. */
  calls: number[];
  due_at: string | undefined;
};

type Known = {
  runs: { run_id: string; task: string; forked_from: string | null }[];
  deliveries: { run_id: string | null }[];
  received: DeliveryEntry[];
  calls: CallEntry[];
};

/** Of this program, and nothing of the run. */
const ownTables = ['audit', 'accepted', 'begun'];

/** By id: the runs that were purged, also those of which the answer was lost. */
export async function readPurged(db: Db, entries: Entry[], known: Known): Promise<Map<string, Purged>> {
  const asked = entries.filter((entry) => entry.op === 'purge');
  const found = new Map<string, Purged>();
  for (const [run_id, tries] of Map.groupBy(asked, (entry) => entry.run_id)) {
    const isThere = known.runs.some((run) => run.run_id === run_id);
    const isTaken = tries.some(isPurged);
    const mayBeTaken = tries.some(({ outcome }) => outcome === 'unknown') && !isThere;
    if (isTaken || mayBeTaken) found.set(run_id, await lookAt(db, tries[0]!, entries, known, isThere));
  }
  return found;
}

async function lookAt(
  db: Db,
  { run_id, account }: Extract<Entry, { op: 'purge' }>,
  entries: Entry[],
  { runs, deliveries, received, calls }: Known,
  isThere: boolean,
): Promise<Purged> {
  const start = entries.find((one) => one.op === 'start' && one.outcome === 'ok' && one.body.run_id === run_id);
  const run = start?.op === 'start' ? start.run : undefined;
  const row = await db.selectFrom('purged_runs').select('due_at').where('run_id', '=', run_id).executeTakeFirst();
  const isOther = (name: string) => !ownTables.includes(name);
  return {
    run_id,
    account,
    asked: entries.filter((entry) => 'run_id' in entry && entry.run_id === run_id),
    left: (await tablesWith(db, 'run_id', run_id)).filter(isOther),
    told: (await tablesThatSay(db, `made-by-${run_id}`)).filter((name) => name !== 'webhook_deliveries'),
    isThere,
    again: runs
      .filter(({ task, forked_from }) => task.startsWith(`[run:${run}]`) && forked_from === null)
      .map((one) => one.run_id),
    pending: deliveries.filter((one) => one.run_id === run_id).length,
    received: received.filter(({ payload }) => payload.run_id === run_id),
    calls: calls.filter((call) => call.run_id === run_id).map(({ received_at }) => received_at),
    due_at: row?.due_at,
  };
}

/** An entry with which a run was purged, as its client knows. */
export const isPurged = ({ op, outcome }: Entry) => op === 'purge' && outcome === 'ok';
