import type { OrderEntry } from '../web.ts';
import { productOf } from '../agent.ts';
import type { Evidence } from '../evidence.ts';
import { isSuperseded } from '../steerings.ts';
import { excusedUntil, workersWereHurt } from '../windows.ts';
import { isToldByAgent } from './chains.ts';
import { isEnded, time, type Invariant } from './runs.ts';

/** 4. A model call is accepted once, and made again only when a fault fell into it: never after its answer was kept. */
export const callsArePaidOnce: Invariant = (e) => {
  const faults: string[] = [];
  for (const [call_id, calls] of Map.groupBy(e.calls, (call) => call.call_id)) {
    const kept = e.llm_calls.find((row) => row.call_id === call_id);
    for (const [index, call] of calls.entries()) {
      const before = calls[index - 1];
      const at = call.received_at;
      if (kept && time(kept.created_at) < at - 100 && !workersWereHurt(e, time(kept.created_at), at)) {
        faults.push(`${call_id} was asked again at ${at}, after its answer was kept at ${kept.created_at}`);
      }
      if (before && !before.fault && !before.client_closed && !workersWereHurt(e, before.received_at - 1_000, at)) {
        faults.push(`${call_id} was asked again at ${at}, with no fault since ${before.received_at}`);
      }
    }
  }
  for (const run of e.runs.filter(({ status }) => isEnded(status))) {
    const end = excusedUntil(e, time(run.completed_at!), 11_000);
    for (const { call_id, received_at } of e.calls.filter((call) => call.run_id === run.run_id)) {
      if (received_at > end)
        faults.push(`${call_id} was asked at ${received_at}; the run was ${run.status} at ${run.completed_at}`);
    }
  }
  return faults;
};

/** What the tools were told by the models, and what came of it. */
type ToolCall = Evidence['tool_calls'][number];

/**
 * 11. A tool is called because a journalled answer says so, with its arguments, and again only when a worker was lost:
 * never after its result was kept. One result stands, that was given, and every turn after it is told that one.
 */
export const toolsAreCalledOnce: Invariant = (e) => {
  const faults: string[] = [];
  for (const [call_id, orders] of Map.groupBy(e.orders, (order) => order.call_id)) {
    const kept = e.tool_calls.find((row) => row.call_id === call_id);
    for (const [index, { at, body }] of orders.entries()) {
      const asked = argumentsOf(e, call_id)?.body;
      const isEdited = e.gates.some(({ gate_id, decision }) => decision === 'edit' && body.endsWith(`-${gate_id}`));
      if (asked !== body && !isEdited) faults.push(`${call_id}: ${body} was ordered, and ${asked} was asked for`);
      const before = orders[index - 1];
      if (before && !workersWereHurt(e, before.at - 1_000, at)) {
        faults.push(`${call_id} was called again at ${at}, with no fault since ${before.at}`);
      }
      if (kept && time(kept.created_at) < at - 100 && !workersWereHurt(e, time(kept.created_at), at)) {
        faults.push(`${call_id} was called again at ${at}, after its result was kept at ${kept.created_at}`);
      }
    }
  }
  for (const row of e.tool_calls) {
    const text = e.texts.get(row.call_id) ?? '';
    if (!wasGiven(e, row, text)) faults.push(`${row.call_id} has a result that nobody gave: ${text.slice(0, 200)}`);
  }
  for (const { call_id, run_id, task_id, tool_calls } of e.llm_calls) {
    const made = e.tool_calls.filter(({ answer_id }) => answer_id === call_id).length;
    const isCompleted = e.runs.some((run) => run.run_id === run_id && run.status === 'completed' && run.attempt === 1);
    // Nothing is called any more for a task that is done again, or left out.
    const isStopped = task_id !== null && isSuperseded(e, run_id!, task_id, call_id);
    if (isCompleted && !isStopped && made !== (tool_calls?.length ?? 0)) {
      faults.push(`${call_id} asked for ${tool_calls?.length} calls, and ${made} were made`);
    }
  }
  for (const { call_id, results } of e.calls) {
    const told = [...new Set(e.tool_calls.map(({ answer_id }) => answer_id))]
      .filter((answer_id) => isTurnBefore(answer_id, call_id))
      .toSorted((a, b) => turnOf(a) - turnOf(b))
      .flatMap((answer_id) => e.tool_calls.filter((row) => row.answer_id === answer_id))
      .map((row) => e.texts.get(row.call_id));
    if (told.join('\n') !== results.join('\n')) {
      faults.push(`${call_id} was told ${JSON.stringify(results)}, and ${JSON.stringify(told)} stand`);
    }
  }
  return faults;
};

export const turnOf = (call_id: string) => Number(call_id.slice(call_id.lastIndexOf('/') + 1));
export const loopOf = (call_id: string) => call_id.slice(0, call_id.lastIndexOf('/'));

function isTurnBefore(answer_id: string, call_id: string): boolean {
  return loopOf(answer_id) === loopOf(call_id) && turnOf(answer_id) < turnOf(call_id);
}

function argumentsOf({ llm_calls }: Evidence, call_id: string): Record<string, string> | undefined {
  const answer = llm_calls.find((row) => row.call_id === loopOf(call_id));
  const asked = answer?.tool_calls?.[turnOf(call_id) - 1];
  return asked && (JSON.parse(asked.arguments) as Record<string, string>);
}

/** True when this is what the tool has returned, or what its failure is told as. */
function wasGiven(e: Evidence, row: ToolCall, text: string): boolean {
  const { call_id, tool, is_error, created_at } = row;
  if (is_error && text.startsWith('A person refused this call'))
    return !e.orders.some((order) => order.call_id === call_id);
  const isTold = isToldByAgent(e, row, text);
  if (isTold !== undefined) return isTold;
  if (tool === 'run_javascript') return text.includes(`"product": ${productOf(argumentsOf(e, call_id)!.code!)}`);
  const orders = e.orders.filter((order) => order.call_id === call_id);
  return orders.some((order) => order.at <= time(created_at) + 100 && saysSo(e, order, text, created_at));
}

function saysSo(e: Evidence, { receipt, fault, at }: OrderEntry, text: string, created_at: string): boolean {
  if (/could not be reached, or hung up/.test(text)) return fault === 'cut' || workersWereHurt(e, at, time(created_at));
  if (fault === 'redirect') return text.includes('Redirects are not followed');
  if (fault === 'error 500') return text.includes('HTTP 500') && text.includes('Out of order.');
  return fault === undefined && text.includes(`Done: ${receipt}.`);
}

/** 12. A fallback answers only what the provider before it has refused for good, and nobody is asked while it can. */
export const fallbacksStepIn: Invariant = (e) => {
  const faults: string[] = [];
  for (const run of e.runs.filter(({ fallback_provider_ids }) => fallback_provider_ids.length > 0)) {
    const calls = e.llm_calls.filter(({ run_id }) => run_id === run.run_id);
    for (const { call_id, provider_id } of calls) {
      const refused = e.calls.some((call) => call.call_id === call_id && call.fault === 'key refused');
      if (provider_id === run.provider_id) continue;
      if (!run.fallback_provider_ids.includes(provider_id!)) faults.push(`${call_id} was answered by ${provider_id}`);
      else if (!refused) faults.push(`${call_id} was answered by its fallback, and nobody had refused it`);
    }
    for (const { gate_id, reason } of e.gates.filter(({ run_id }) => run_id === run.run_id)) {
      if (reason?.includes('refused the API key')) faults.push(`${gate_id} was opened, and a fallback was there`);
    }
  }
  return faults;
};
