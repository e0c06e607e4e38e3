import type { Evidence } from '../evidence.ts';
import { isPurged, type Purged } from '../purged.ts';
import { excusedUntil } from '../windows.ts';
import { time, type Invariant } from './runs.ts';

/** A row whose look is due is looked at within seconds. */
const late_ms = 15_000;
/** As after the end of any run. */
const inFlight_ms = 11_000;
/** What is kept of a purged run while a webhook of it is on its way, or its workflow goes on. */
const frame = ['runs', 'purged_runs', 'webhook_deliveries'];
/** What people are told of their gates. */
const notices = ['gate.assigned', 'gate.unassigned'];
const ends = ['run.completed', 'run.failed', 'run.cancelled'];

/**
 * 31. A run whose purge is acknowledged is gone: nobody finds it, no request begins it again, and nothing of it is in the
 * database but webhooks that are on their way. Who subscribes has heard of its end, or will. It stays counted.
 */
export const purgedRunsAreGone: Invariant = (e) => [
  ...[...e.purged.values()].flatMap((purged) => faultsOf(e, purged)),
  ...miscounted(e),
];

function faultsOf(e: Evidence, purged: Purged): string[] {
  const { run_id, account, asked, left, told, isThere, again, pending, received, calls, due_at } = purged;
  const faults: string[] = [];
  if (isThere) faults.push(`${run_id} was purged, and its account has it`);
  if (again.length > 0) faults.push(`${run_id} was purged, and begun again as ${again.join()}`);
  if (e.lists.some((ids) => ids?.includes(run_id))) faults.push(`${run_id} was purged, and is listed`);
  const acked = asked.find(isPurged);
  for (const { op, outcome, invoked, ...entry } of asked) {
    if (acked && op === 'gone' && invoked >= acked.ended && entry.status !== 404 && outcome !== 'unknown')
      faults.push(`${run_id} was purged, and ${JSON.stringify(entry).slice(0, 300)}`);
  }
  const last = acked && excusedUntil(e, acked.ended, inFlight_ms);
  for (const at of calls.filter((one) => last !== undefined && one > last))
    faults.push(`${run_id} was purged at ${acked!.ended}, and a model asked for it at ${at}`);
  // What may come yet is looked for at the next look, unless that is late.
  const isLate = due_at === undefined || time(due_at) < e.gathered_at - late_ms;
  const tooMany = pending > 0 ? left.filter((table) => !frame.includes(table)) : left;
  if (isLate && tooMany.length > 0) faults.push(`${run_id} was purged, and is in ${tooMany.join()}`);
  if (isLate && told.length > 0) faults.push(`${run_id} was purged, and its words are in ${told.join()}`);
  const ways = ['', '-events', '-escalation'].map((end) => `/hook/${account}${end}`);
  for (const { id, path, body, verified } of received) {
    const isNotice = path === `/hook/${account}-people` && notices.includes(JSON.parse(body).type);
    if (!isNotice && !ways.includes(path)) faults.push(`${id} of ${run_id} came to ${path}`);
    if (!verified) faults.push(`${id} was not signed as its endpoint expects`);
  }
  for (const [id, all] of Map.groupBy(received, (one) => one.id)) {
    if (new Set(all.map(({ body }) => body)).size > 1) faults.push(`${id} had different bodies`);
  }
  const events = received
    .filter(({ path }) => path.endsWith('-events'))
    .map(({ body }) => JSON.parse(body) as { seq: number; type: string });
  // Its end is told at once, also while what came before it is tried again.
  const firsts = [...new Set(events.filter(({ type }) => !ends.includes(type)).map(({ seq }) => seq))];
  if (firsts.some((seq, index) => seq < (firsts[index - 1] ?? 0))) faults.push(`${run_id} told ${firsts.join()}`);
  const isTold = events.some(({ type }) => ends.includes(type));
  if (!isTold && pending === 0) faults.push(`${run_id} was purged, and who subscribes has not heard of its end`);
  return faults;
}

function miscounted(e: Evidence): string[] {
  const counted = e.purgedCounts.reduce((sum, { runs }) => sum + runs, 0);
  // In the first hour of a month runs of the one before are counted no more.
  const isNewMonth = new Date(e.gathered_at).getUTCDate() === 1 && new Date(e.gathered_at).getUTCHours() === 0;
  return counted === e.purged.size || isNewMonth ? [] : [`${e.purged.size} runs were purged, and ${counted} counted`];
}
