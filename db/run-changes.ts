import { gateTerms, type GateTerms } from '../workflows/contract/gate-terms.ts';
import { hasEnded, type RunStatus } from '../workflows/contract/states.ts';
import { takeBackGrants } from './budget.ts';
import { countChangesOfGates } from './gate-changes.ts';
import type { Db } from './index.ts';
import { insertOutboxEntry, type OutboxEntry } from './outbox.ts';
import { appendEvents } from './progress.ts';
import { startColumns, type StartTime } from './run-queue.ts';
import { lockOwnRun, type Doing } from './runs.ts';
import type { Run } from './schema.ts';
import { mostSteerings } from './steering.ts';

/** What can be changed of the limits and terms of a run after it was accepted. What is not given stays. */
export type TermsChange = Partial<GateTerms & Pick<Run, 'max_cost_usd' | 'max_tokens'>>;

/** What can be changed of a run under way. */
export type RunChange = TermsChange &
  Partial<Pick<Run, 'metadata' | 'tags' | 'webhook_url'>> & {
    /** Only until it begins. */
    start?: StartTime;
  };

export type Changed = {
  before: RunStatus;
  /** Why nothing was changed. */
  refused?: 'finished' | 'no_webhook' | 'too_often' | 'begun';
  /** When it begins by now, where that was changed. */
  start_at?: string | null;
  entry?: OutboxEntry | undefined;
};

/** What events tell the values of: neither labels nor addresses, which may be long, or have a secret in them. */
const shown = ['max_cost_usd', 'max_tokens', 'gate_due_in', 'remind_every', 'on_timeout', 'start_at'] as const;

/** The names of what is changed in a run, and the values of the short ones before and after it, as events tell them. */
export function tellChange(run: Run, change: Partial<Run>) {
  const values = (of: Partial<Run>) =>
    Object.fromEntries(shown.filter((name) => name in change).map((name) => [name, of[name] ?? null]));
  const [from, to] = [values(run), values(change)];
  return { changed: Object.keys(change), ...(Object.keys(to).length > 0 && { from, to }) };
}

/**
 * Changes a run, with the event that names what was changed and, where those are terms of its gates, the outbox entry that
 * tells its workflow. Of one that has ended only its labels. `check` may refuse it by an error, with the run as it is.
 * Undefined when this account has none of this id.
 */
export function changeRun(
  db: Db,
  { account_id, run_id, ...doing }: Doing & { account_id: string; run_id: string },
  { metadata, start, ...change }: RunChange,
  check: (run: Run, trx: Db) => Promise<void>,
): Promise<Changed | undefined> {
  return db.transaction().execute(async (trx): Promise<Changed | undefined> => {
    const run = await lockOwnRun(trx, account_id, run_id);
    if (!run) return undefined;
    const before = run.status;
    const { tags: _, ...terms } = change;
    if (hasEnded(before) && (start || Object.keys(terms).length > 0)) return { before, refused: 'finished' };
    if (change.webhook_url && run.webhook_url === null) return { before, refused: 'no_webhook' };
    if (start && run.queued_at === null) return { before, refused: 'begun' };
    const hasOtherGates = gateTerms.some((name) => name in change);
    if (hasOtherGates && (await countChangesOfGates(trx, run_id)) >= mostSteerings)
      return { before, refused: 'too_often' };
    await check(run, trx);
    const changed = {
      ...change,
      ...(metadata && { metadata: JSON.stringify(metadata) }),
      ...(start && startColumns(start)),
    };
    if (Object.keys(changed).length === 0) return { before };
    const update = trx.updateTable('runs').set(changed).where('run_id', '=', run_id);
    const begins = await update.returning('start_at').executeTakeFirstOrThrow();
    await takeBackGrants(trx, run_id, change);
    const type = 'run.changed';
    const n = run.event_seq + 1;
    const data = { ...tellChange(run, { ...change, ...(metadata && { metadata }), ...(start && begins) }), ...doing };
    await appendEvents(trx, run_id, [{ key: `${type}/${n}`, type, data }]);
    const done = { before, ...(start && begins) };
    // One that has yet to begin does so by them.
    if (!hasOtherGates || run.queued_at !== null) return done;
    return { ...done, entry: await insertOutboxEntry(trx, { run_id }, { kind: 'terms', n }) };
  });
}
