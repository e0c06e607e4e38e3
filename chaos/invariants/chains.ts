import { cut } from '../../activities/prompts/blocks.ts';
import { newId, runIdOf } from '../../src/ids.ts';
import { readOutput } from '../../src/calls/output.ts';
import { maxResultLength } from '../../src/tools/index.ts';
import type { Called } from '../called.ts';
import type { Evidence } from '../evidence.ts';
import { caps } from '../limits.ts';
import { excusedUntil } from '../windows.ts';
import { isEnded, runOf, time, type Invariant } from './runs.ts';

/** A call of an agent that a model has asked for, by the key of that call: it has the same run whatever crashes. */
export function runOfToolCall(call_id: string): string {
  return newId('run', { seed: `orchflow:call:${call_id}`, isRetry: true, idempotency_key: call_id });
}

/** What has become of a chain when what called it has ended is seen so late, in milliseconds. */
const orphaned_ms = 30_000;

/**
 * 45. An agent that calls others calls each as often as its model has asked, whatever crashes, and is told what that has come to. Each stands
 * in its chain, with its tenant, within the hops, the deadline and the caps of what is above it; what it has spent is what the journal has.
 */
export const chainsAreKept: Invariant = (e) => [
  ...e.called.flatMap((call) => [...standingFaults(e, call), ...spendingFaults(e, call), ...tellingFaults(e, call)]),
  ...e.runs.flatMap((run) => callingFaults(e, run)),
];

function standingFaults(e: Evidence, call: Called): string[] {
  const { run_id, agent, version, parent_run_id, root_run_id, chain, tenant, max_hops, deadline_at, account_id } = call;
  const ref = `${agent}@${version}`;
  if (parent_run_id === null) {
    const isFirst = chain.join() === ref && root_run_id === run_id;
    return isFirst ? [] : [`${run_id} is the first of its chain: ${chain.join()}, ${root_run_id}`];
  }
  const parent = e.called.find((one) => one.run_id === parent_run_id);
  if (!parent) return [`${run_id} was called by ${parent_run_id}, which was not called`];
  const faults: string[] = [];
  const isNext = chain.join() === [...parent.chain, ref].join() && root_run_id === parent.root_run_id;
  if (!isNext || tenant !== parent.tenant || account_id !== parent.account_id)
    faults.push(`${run_id} is ${chain.join()} for ${tenant}, called by ${parent.chain.join()} for ${parent.tenant}`);
  if (max_hops !== null && parent.max_hops !== null && max_hops >= parent.max_hops)
    faults.push(`${run_id} may go ${max_hops} deeper, and its caller ${parent.max_hops}`);
  if (parent.deadline_at && (deadline_at === null || time(deadline_at) > time(parent.deadline_at)))
    faults.push(`${run_id} has until ${deadline_at}, and its caller until ${parent.deadline_at}`);
  const [own, above] = [runOf(e, run_id), runOf(e, parent_run_id)];
  const end = ['failed', 'cancelled'].includes(above.status)
    ? excusedUntil(e, time(above.completed_at!), orphaned_ms)
    : Number.POSITIVE_INFINITY;
  if (own.completed_at === null || time(own.completed_at) > end)
    faults.push(
      `${run_id} is ${own.status} at ${own.completed_at}; its caller was ${above.status} ${above.completed_at}`,
    );
  return faults;
}

function spendingFaults(e: Evidence, { run_id, agent, cost_usd, downstream }: Called): string[] {
  const faults: string[] = [];
  const paid = e.llm_calls.filter((row) => row.run_id === run_id).reduce((sum, row) => sum + (row.cost_usd ?? 0), 0);
  if (Math.abs(paid - Number(cost_usd ?? 0)) > 1e-6) faults.push(`${run_id} has cost ${cost_usd}, of ${paid} paid`);
  const { per_call_cap, spend_cap } = downstream;
  if (agent.endsWith('/lead') && (per_call_cap !== caps.per_call || !(spend_cap! <= caps.all)))
    faults.push(`${run_id} may spend ${JSON.stringify(downstream)}`);
  const below = e.called.filter((call) => call.parent_run_id === run_id);
  const most = Math.min(per_call_cap ?? Infinity, spend_cap ?? Infinity);
  for (const child of below) {
    const { max_cost_usd } = runOf(e, child.run_id);
    if (most < Infinity && !(max_cost_usd !== null && Number(max_cost_usd) <= most / 100 + 1e-9))
      faults.push(`${child.run_id} may cost ${max_cost_usd}, and ${run_id} spend ${most} cents on it`);
    if (most < Infinity && !(child.downstream.spend_cap! <= most))
      faults.push(`${child.run_id} may spend ${JSON.stringify(child.downstream)} below ${JSON.stringify(downstream)}`);
  }
  return faults;
}

/** What the model of an agent has asked for, and what code has called. */
function callingFaults(e: Evidence, { run_id, status }: Evidence['runs'][number]): string[] {
  const below = e.called.filter((call) => call.parent_run_id === run_id);
  const answers = e.llm_calls.filter((row) => row.run_id === run_id && row.tool_calls?.some(isOfAgent));
  const tries = e.code_runs.filter((row) => row.run_id === run_id).length;
  if (tries > 0) {
    const keys = Map.groupBy(below, ({ key_id }) => key_id);
    return keys.size > tries ? [`${run_id} was begun ${tries} times, and has called with ${keys.size} keys`] : [];
  }
  const asked = answers.flatMap(({ call_id, tool_calls }) =>
    tool_calls!.flatMap((call, index) => (isOfAgent(call) ? [`${call_id}/${index + 1}`] : [])),
  );
  const due = new Map(asked.map((call_id) => [runOfToolCall(call_id), call_id]));
  const faults = below
    .filter((call) => !due.has(call.run_id))
    .map((call) => `${call.run_id} was called by ${run_id}, and no model asked for it`);
  for (const [child, call_id] of due) {
    const result = e.tool_calls.find((row) => row.call_id === call_id);
    if (status === 'completed' && !result) faults.push(`${call_id} was asked for, and has no result`);
    if (result && !result.is_error && !below.some((call) => call.run_id === child))
      faults.push(`${call_id} has a result, and ${child} was not called`);
  }
  return faults;
}

const isOfAgent = ({ source }: { source?: string }) => /^[^/]+\/[^/@]+@v\d+$/.test(source ?? '');

/** Whether a result is what a call of an agent has come to, or why it was not made; undefined of other tools. */
export function isToldByAgent(e: Evidence, result: Evidence['tool_calls'][number], text: string): boolean | undefined {
  const { call_id, run_id, is_error, created_at } = result;
  const run = e.runs.find((row) => row.run_id === runOfToolCall(call_id));
  if (!run) {
    const { deadline_at = null } = e.called.find((call) => call.run_id === run_id) ?? {};
    const isLate = deadline_at !== null && time(deadline_at) <= time(created_at) + 50;
    return is_error && isLate && text.includes('deadline of this call has passed') ? true : undefined;
  }
  if (is_error) return isEnded(run.status) && run.status !== 'completed' && text.includes(run.error ?? run.status);
  return run.status === 'completed' && text === cut(JSON.stringify(dataOf(e, run.run_id)), maxResultLength);
}

/** What code was told by the agent that it has called. */
function tellingFaults(e: Evidence, { run_id }: Called): string[] {
  const told = e.code_runs.some((row) => row.run_id === run_id) ? dataOf(e, run_id) : undefined;
  // What it has called may have been refused.
  if (typeof told?.run !== 'string') return [];
  const child = runIdOf(told.run);
  const isBelow = e.called.some((call) => call.run_id === child && call.parent_run_id === run_id);
  if (!isBelow) return [`${run_id} was told of ${told.run}, which it has not called`];
  const { status } = runOf(e, child!);
  const isSame = told.data
    ? status === 'completed' && JSON.stringify(told.data) === JSON.stringify(dataOf(e, child!))
    : status !== 'completed';
  return isSame ? [] : [`${run_id} was told ${JSON.stringify(told)} by ${child}, which is ${status}`];
}

/** What a run has come to, as its caller is given it. */
export function dataOf(e: Evidence, run_id: string): Record<string, unknown> | undefined {
  const text = e.texts.get(runOf(e, run_id).final_output_id ?? '');
  return text === undefined ? undefined : readOutput(text).data;
}
