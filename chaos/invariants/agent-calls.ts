import { isDeepStrictEqual } from 'node:util';
import { surfaceCode } from '../../src/apis/orchagent/call-answer.ts';
import type { ErrorCode } from '../../workflows/contract/error-codes.ts';
import { answerOf, type CallEntry } from '../call-answers.ts';
import type { Evidence } from '../evidence.ts';
import type { Fallen } from '../faults.ts';
import { during } from '../windows.ts';
import { dataOf } from './chains.ts';
import { entries, time, type Invariant } from './runs.ts';

/** What must hold of agents that are called at `/{org}/{agent}/{version}/{endpoint}`. */

/** An API takes so long at most to begin what it was asked, and sees so soon that another process is gone, in milliseconds. */
const beginning_ms = 4_000;

/**
 * 43. A call that its client has left is taken up by who asks for the same again: it has one run. With a key it has one in any case. What was left is known
 * to be, whatever was down then.
 */
export const leftCallsAreTakenUp: Invariant = (e) => {
  const faults: string[] = [];
  for (const [run, tries] of Map.groupBy(entries(e, 'call'), (entry) => entry.run)) {
    const { key } = tries[0]!;
    const rows = e.runs.filter(({ task, kind }) => kind === 'agent' && task.includes(`[run:${run}]`));
    // What it calls itself is told its mark, too, where code calls.
    const own = rows.filter(({ run_id }) => e.called.some((row) => row.run_id === run_id && !row.parent_run_id));
    const most = key ? 1 : tries.length;
    if (own.length > most) faults.push(`${run} was called ${tries.length} times, and has ${own.length} runs`);
  }
  const waited = e.called.filter(({ is_waited }) => is_waited);
  for (const { run_id } of waited) faults.push(`${run_id} is said to be waited for, and nobody does`);
  return [...faults, ...e.missed.flatMap((missed) => missedFaults(e, missed))];
};

function missedFaults(e: Evidence, { run_id, left_run_id, left_at, at }: Evidence['missed'][number]): string[] {
  const asked = entries(e, 'call').find((entry) => answerOf(entry).run_id === run_id && entry.invoked <= time(at));
  const invoked = asked?.invoked ?? time(at) - beginning_ms;
  // What an API has in its hands that is frozen takes it up, and leaves it, later than its client.
  const isFrozen = (fault: Fallen) => fault.kind === 'freeze' && fault.target.startsWith('api');
  if (during(e, invoked - beginning_ms, time(at), left_at ? isFrozen : () => true, beginning_ms).length > 0) return [];
  if (left_at && time(left_at) > invoked - 50) return [];
  return [`${run_id} was begun at ${at}, asked for at ${invoked}, though ${left_run_id} was left at ${left_at}`];
}

/** 44. An answer to a call is what its run has come to, whichever of its tries got it; what was refused was late. */
export const callsAreAnsweredByTheirRuns: Invariant = (e) => entries(e, 'call').flatMap((entry) => faultsOf(e, entry));

function faultsOf(e: Evidence, entry: CallEntry): string[] {
  const { run, agent, tenant, account, outcome, deadline_at, status, ended } = entry;
  const { run_id, data, version, error, isOfRun } = answerOf(entry);
  const told = `${run} was answered ${status} ${JSON.stringify(data ?? error)}`;
  if (outcome === 'fail' && !isOfRun) {
    const isLate = error!.code === 'TIMEOUT' && deadline_at !== undefined && deadline_at <= ended;
    return isLate ? [] : [told];
  }
  if (run_id === undefined) return outcome === 'unknown' ? [] : [`${told}, without a run`];
  const row = e.runs.find((one) => one.run_id === run_id);
  const call = e.called.find((one) => one.run_id === run_id);
  if (!row || !call) return [`${run} was told of ${run_id}, which is gone`];
  const owner = e.accounts.find(({ name }) => name === account)!;
  const faults: string[] = [];
  if (!row.task.includes(`[run:${run}]`) || call.agent !== agent || call.tenant !== tenant || call.parent_run_id)
    faults.push(`${run}, a call of ${agent} for ${tenant}, is ${run_id}: ${call.agent} for ${call.tenant}`);
  if (e.organisations.get(owner.org) !== row.account_id) faults.push(`${run_id} of ${account} is ${row.account_id}'s`);
  if (data) {
    const stands = dataOf(e, run_id);
    if (row.status !== 'completed' || !isDeepStrictEqual(data, stands) || version !== call.version)
      faults.push(`${told}; ${run_id} is ${row.status}: ${JSON.stringify(stands)}`);
  }
  if (error && isOfRun) {
    const code = row.status === 'cancelled' ? 'CONFLICT' : surfaceCode(row.error_code as ErrorCode);
    if (!['failed', 'cancelled'].includes(row.status) || error.code !== code)
      faults.push(`${told}; ${run_id} is ${row.status}: ${row.error_code} ${row.error}`);
  }
  return faults;
}
