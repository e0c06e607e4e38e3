import { requestIdOf } from '../../src/ids.ts';
import { late_mark } from '../agent.ts';
import type { Evidence } from '../evidence.ts';
import type { Fallen } from '../faults.ts';
import { during, excusedUntil, hurtsCoder, hurtsWorkers } from '../windows.ts';
import { dataOf } from './chains.ts';
import { isCode, runOf, time, type Invariant, type Run } from './runs.ts';

/**
 * A worker that is lost is noticed so late, and one that comes back takes work so late, in milliseconds: ten seconds after it began a
 * workflow task that is lost with it, and ten more where that had been lost before.
 */
const aftermath = 30_000;
/** As Temporal waits at most between two tries of an activity (`workflows/model-activities.ts`). */
const longestPause_ms = 30_000;

/**
 * 46. Code that does not say so is never begun twice; other code only after the one that ran it was lost, and each time there is a row before
 * its process. Its output is what it was told in one of its processes.
 */
export const codeIsBegunOnce: Invariant = (e) => {
  const faults: string[] = [];
  const known = new Set(e.runs.filter(isCode).map(({ run_id }) => requestIdOf(run_id)));
  for (const { request_id, at } of e.begins)
    if (!known.has(request_id)) faults.push(`${request_id} has begun at ${at}, and there is no such run`);
  for (const run of e.runs.filter(isCode)) {
    const { run_id, status, error_code, error } = run;
    const { idempotent } = run.agent_run!.code!;
    const begins = e.begins.filter(({ request_id }) => request_id === requestIdOf(run_id));
    const tries = e.code_runs.filter((row) => row.run_id === run_id);
    const told = `${run_id} has ${tries.length} tries, and has begun ${begins.length} times`;
    if (begins.length > tries.length || (!idempotent && tries.length > 1)) faults.push(told);
    const starts = tries.map(({ started_at }) => time(started_at));
    for (const [index, at] of starts.slice(1).entries()) {
      if (during(e, starts[index]!, at, hurtsCoder, aftermath).length === 0)
        faults.push(`${told}, again at ${at}, with no fault since ${starts[index]}`);
    }
    if (tries.some(({ ended }) => ended === null) && !isCutShort(run)) faults.push(`${told}, and is ${status}`);
    if (status === 'completed') {
      const data = dataOf(e, run_id);
      if (!data || !begins.some(({ receipt }) => receipt === data.begin))
        faults.push(`${run_id} has come to ${JSON.stringify(data)}, of ${begins.map(({ receipt }) => receipt).join()}`);
    }
    if (error_code === 'SANDBOX_ERROR' && !mayBeInterrupted(e, run)) faults.push(`${told}, with no fault: ${error}`);
  }
  return faults;
};

/** By its deadline, or by somebody, while what ran it was lost. */
const isCutShort = ({ status, error_code }: Run) => status === 'cancelled' || error_code === 'TIMEOUT';

function mayBeInterrupted(e: Evidence, { created_at, completed_at }: Run): boolean {
  return during(e, time(created_at), time(completed_at!), hurtsCoder, aftermath).length > 0;
}

/** When a run has had its time, a worker has to see it; as after a cancellation. */
const late_ms = 11_000;

/**
 * 47. A deadline ends a call as TIMEOUT in time, whatever is down meanwhile, and before it only what was lost and could not be begun again
 * in time; then its model is not asked any more, nothing is paid, and no code is begun.
 */
export const deadlinesAreKept: Invariant = (e) =>
  e.called.flatMap(({ run_id, deadline_at }) => {
    const run = runOf(e, run_id);
    if (deadline_at === null) return [];
    // It had no place yet.
    const begun = e.begun.filter((row) => row.run_id === run_id).map(({ noted_at }) => time(noted_at));
    const due = Math.max(time(deadline_at), ...begun);
    const until = excusedUntil(e, due, late_ms);
    const told = `${run_id}, due at ${deadline_at}, is ${run.status} ${run.error_code} at ${run.completed_at}`;
    const faults: string[] = [];
    const end = untilEnded(e, run, due);
    const isLate = run.completed_at === null || time(run.completed_at) > end;
    if (isLate && e.gathered_at > end) faults.push(told);
    if (run.error_code === 'TIMEOUT' && time(run.completed_at!) < time(deadline_at) - mayBeEarly(e, run))
      faults.push(`${told}, early`);
    const own = <R extends { run_id: string | null }>(rows: R[]) => rows.filter((row) => row.run_id === run_id);
    const asked = own(e.calls).filter(({ received_at }) => received_at > until);
    const paid = own(e.llm_calls).filter(({ created_at }) => time(created_at) > until);
    for (const { call_id } of [...asked, ...paid]) faults.push(`${told}, and ${call_id} was asked, or paid, after it`);
    for (const row of own(e.code_runs).filter(({ started_at }) => time(started_at) > until))
      faults.push(`${told}, and its code was begun at ${row.started_at}`);
    const isHeld = own(e.calls).length > 0 && own(e.calls).every(({ prompt }) => prompt.includes(late_mark));
    if (isHeld && run.status === 'completed') faults.push(`${told}, and no model has answered`);
    return faults;
  });

/**
 * A turn whose worker was lost is not begun again where that would be after its time: it ends then. Pauses between tries double from one
 * second on, so none is longer than what has gone before it, but for that second.
 */
function mayBeEarly(e: Evidence, run: Run): number {
  const [since, at] = [time(run.created_at), time(run.completed_at!)];
  const lost = during(e, at, at, hurtsWorkers, aftermath).filter(({ ended }) => ended > since);
  return isCode(run) || lost.length === 0 ? 50 : Math.min(longestPause_ms, at - since + 1_000);
}

/** Code is ended by its own time, on the worker that runs it. */
function untilEnded(e: Evidence, run: Run, due: number): number {
  const is = (fault: Fallen) => hurtsWorkers(fault) || (isCode(run) && hurtsCoder(fault));
  return excusedUntil(e, due, late_ms, { is, after: aftermath });
}
