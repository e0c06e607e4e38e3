import { setTimeout as sleep } from 'node:timers/promises';
import { findStoredRun, listMissingTexts, listUnfinishedAfter, withoutUnfinished } from '../../db/reconcile.ts';
import { differencesOf, type Compared, type Difference } from './differences.ts';
import { mend, type Sides } from './mend.ts';

/**
 * Compares what Postgres and Temporal have of runs, after one of the two was restored from a backup, and brings them together.
 * Runs may go on meanwhile: what is on its way is no difference.
 */

/** A run in which the two differ. `left`: what they differ in yet, when it was to be mended. */
export type Finding = { run_id: string; differences: Difference[]; left: Difference[] };

export type ReconcileOptions = {
  mends: boolean;
  /** Only this run, or those of this account. */
  run_id?: string;
  account_id?: string;
};

const pageSize = 200;
/** Histories are read at so many at once: each may be long. */
const lookers = 4;
/** What differs still after such a time is not on its way. */
export const settle_ms = 2_000;
const lookAgain_ms = 100;
const mostLooks = 20;
/** What is mended is looked at again, and may then want something else. */
const mostMends = 5;
const delivery_ms = 30_000;
const mostTries = 3;

/** All runs that either side has unfinished: those that differ, as soon as they are known. `count` says how many were compared. */
export async function* reconcile(
  sides: Sides,
  options: ReconcileOptions,
  count: { compared: number },
): AsyncGenerator<Finding> {
  for await (const run_ids of pagesOf(sides, options)) {
    count.compared += run_ids.length;
    const differing = await inParallel(run_ids, async (run_id) => {
      const isDifferent = differencesOf(await look(sides, run_id)).length > 0;
      return isDifferent ? [run_id] : [];
    });
    if (differing.length === 0) continue;
    await sleep(settle_ms);
    for (; differing.length > 0;) {
      yield* await inParallel(differing.splice(0, lookers), (run_id) => findAt(sides, run_id, options));
    }
  }
}

/** Those that Postgres has unfinished, and then those that only Temporal has so. */
async function* pagesOf({ db, engine }: Sides, { run_id, account_id }: ReconcileOptions): AsyncGenerator<string[]> {
  if (run_id !== undefined) return yield [run_id];
  for (let page: string[] = [], after = ''; ; after = page.at(-1)!) {
    page = await listUnfinishedAfter(db, after, pageSize, account_id);
    if (page.length > 0) yield page;
    if (page.length < pageSize) break;
  }
  let page: string[] = [];
  for await (const running of engine.listRunning(account_id)) {
    page.push(running);
    if (page.length < pageSize) continue;
    yield await withoutUnfinished(db, page);
    page = [];
  }
  yield await withoutUnfinished(db, page);
}

/** Both sides of a run at one moment: Postgres has the same before and after Temporal was asked, unless it changes all the time. */
async function look({ db, engine }: Sides, run_id: string): Promise<Compared> {
  let run = await findStoredRun(db, run_id);
  for (let looks = 1; ; looks += 1) {
    const writers = run?.writers ?? [];
    const known = await patiently(() => engine.findKnownRun(run_id, writers));
    const missing_texts = known ? await listMissingTexts(db, [...known.texts]) : [];
    const after = await findStoredRun(db, run_id);
    if (JSON.stringify(after) === JSON.stringify(run) || looks === mostLooks)
      return { run: after, known, missing_texts };
    run = after;
    await sleep(lookAgain_ms);
  }
}

async function findAt(sides: Sides, run_id: string, { mends }: ReconcileOptions): Promise<Finding[]> {
  const differences = new Map<string, Difference>();
  for (let mended = 0; ; mended += 1) {
    const compared = await look(sides, run_id);
    const left = differencesOf(compared);
    for (const difference of left) if (!differences.has(difference.kind)) differences.set(difference.kind, difference);
    if (differences.size === 0) return [];
    if (!mends || left.length === 0 || mended === mostMends) {
      return [{ run_id, differences: [...differences.values()], left }];
    }
    await patiently(() => mend(sides, run_id, compared, left[0]!));
    await untilDelivered(sides, run_id);
  }
}

/** Resolves when Temporal was told all that waits for this run, or that takes too long. */
async function untilDelivered({ db }: Sides, run_id: string): Promise<void> {
  for (const latest = Date.now() + delivery_ms; Date.now() < latest; await sleep(lookAgain_ms)) {
    const run = await findStoredRun(db, run_id);
    if (!run?.undelivered) return;
  }
}

async function inParallel<T, R>(items: T[], work: (item: T) => Promise<R[]>): Promise<R[]> {
  const results: R[][] = [];
  const queue = items.entries();
  const worker = async () => {
    for (const [index, item] of queue) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: lookers }, worker));
  return results.flat();
}

/** One of many calls to Temporal may fail. */
export async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await call();
    } catch (error) {
      if (tries === mostTries) throw error;
      await sleep(lookAgain_ms * 2 ** tries);
    }
  }
}
