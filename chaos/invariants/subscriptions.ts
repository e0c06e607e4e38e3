import type { Evidence } from '../evidence.ts';
import type { Invariant } from './runs.ts';

type Run = Evidence['runs'][number];

/**
 * 25. Who subscribes is told of every event of a run, in its order, as its stream has it: up to the one that is being tried, if
 * any. One that was tried three times may come after those that have waited for it.
 */
export const subscribersHearAll: Invariant = (e) => e.runs.flatMap((run) => faultsOf(e, run));

function faultsOf(e: Evidence, { run_id, kind }: Run): string[] {
  const faults: string[] = [];
  const rows = e.deliveries.filter((row) => row.run_id === run_id && row.subscription_id !== null);
  const head = rows.find(({ holds_up }) => holds_up);
  const events = e.events.filter((event) => event.run_id === run_id);
  for (const { seq, type } of events) {
    const row = rows.find((one) => one.seq === seq);
    const isDue = !head || seq <= head.seq!;
    if (isDue !== Boolean(row)) faults.push(`${run_id}: of ${seq} ${type} there is ${row?.status}, head ${head?.seq}`);
    if (row && row.status !== 'delivered' && row.status !== 'pending')
      faults.push(`${row.delivery_id} is ${row.status}`);
  }
  const received = e.received.filter(({ path, payload }) => path.endsWith('-events') && payload.run_id === run_id);
  const told = received.map(({ id, body }) => ({ id, event: JSON.parse(body) as Record<string, any> }));
  for (const { id, event } of told) {
    const stored = events.find(({ seq }) => seq === event.seq);
    const isSame = stored?.type === event.type && JSON.stringify(stored?.data) === JSON.stringify(event.data);
    if (!isSame || event.id !== id || event.kind !== kind) faults.push(`${id} says ${JSON.stringify(event)}`);
  }
  const firsts = [...new Set(told.map(({ event }) => event.seq as number))];
  if (firsts.some((seq, index) => seq < (firsts[index - 1] ?? 0)))
    faults.push(`${run_id} was told of ${firsts.join()}`);
  return faults;
}
