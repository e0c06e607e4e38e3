import type { Evidence } from '../evidence.ts';
import type { Entry } from '../journal.ts';
import { runOf, time, type Invariant, type Run } from './runs.ts';

/** A failed call is tried again after half a minute at most, and a lost worker is noticed within seconds. */
const longest_ms = 60_000;

/** 19. When all is there again, no run stands still for a minute: something waits no longer for what has come back. */
export const runsGoOn: Invariant = (e) =>
  standstills(e)
    .filter(({ ms }) => ms > longest_ms)
    .map(({ run_id, from, ms }) => `${run_id} stood still for ${(ms / 1_000).toFixed(1)} s, from ${from} on`);

/** The longest time of each run, from the healing to its end, in which nothing of it happened. */
export function standstills(e: Evidence): { run_id: string; from: number; ms: number }[] {
  return e.runs.flatMap((run) => {
    const { run_id, created_at, completed_at } = run;
    const begun = Math.max(e.healed_at, time(created_at));
    if (completed_at !== null && time(completed_at) <= begun) return [];
    const signs = signsOf(e, run);
    const ended = completed_at !== null ? time(completed_at) : isForNobody(e, run) ? Math.max(...signs) : e.gathered_at;
    if (ended <= begun) return [];
    const moments = [begun, ...signs.filter((at) => at > begun && at < ended), ended];
    const inOrder = moments.toSorted((a, b) => a - b);
    const pauses = inOrder.slice(1).map((at, index) => ({ run_id, from: inOrder[index]!, ms: at - inOrder[index]! }));
    return [pauses.reduce((longest, pause) => (pause.ms > longest.ms ? pause : longest))];
  });
}

/** Whether it waits for a person, and its client has never heard of it: one without a key, whose start was not answered in time. */
function isForNobody(e: Evidence, { run_id, status }: Run): boolean {
  const names = (entry: Entry) => ('run_id' in entry && entry.run_id === run_id) || entry.body?.run_id === run_id;
  return status === 'waiting_human' && !e.asked.some(names);
}

/**
 * When something was done for the run: it began, a status changed, a model or a tool was called or has answered, a person has, or something of
 * what it has called. As long as it waits for a place, it goes on with the others of its account.
 */
function signsOf(e: Evidence, { run_id, account_id }: Run): number[] {
  const isIts = (row: { run_id: string | null }) => row.run_id === run_id;
  const prefix = `${run_id}/`;
  const begun = e.begun.filter(isIts).map(({ noted_at }) => time(noted_at));
  const waited = begun.at(-1) ?? e.gathered_at;
  const before = new Set(e.runs.filter((run) => run.account_id === account_id).map((run) => run.run_id));
  return [
    ...begun,
    ...e.changes
      .filter((change) => before.has(change.run_id) && change.task_id === null)
      .map(({ at }) => time(at))
      .filter((at) => at <= waited),
    ...e.changes.filter((change) => isIts(change) && change.before !== change.after).map(({ at }) => time(at)),
    ...e.calls.filter(isIts).map(({ received_at }) => received_at),
    ...e.orders.filter(({ call_id }) => call_id.startsWith(prefix)).map(({ at }) => at),
    ...e.llm_calls.filter(isIts).map(({ created_at }) => time(created_at)),
    ...e.tool_calls.filter(({ call_id }) => call_id.startsWith(prefix)).map(({ created_at }) => time(created_at)),
    ...e.code_runs
      .filter(isIts)
      .flatMap(({ started_at, ended_at }) => [time(started_at), time(ended_at ?? started_at)]),
    ...e.called.filter((call) => call.parent_run_id === run_id).flatMap((call) => signsOf(e, runOf(e, call.run_id))),
    ...e.gates.filter(isIts).flatMap(({ opened_at, answered_at }) => [time(opened_at), time(answered_at ?? opened_at)]),
  ];
}
