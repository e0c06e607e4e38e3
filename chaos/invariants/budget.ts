import type { Evidence } from '../evidence.ts';
import type { CallEntry } from '../outside.ts';
import { isEnded, time, type Invariant } from './runs.ts';

/** 15. No call is made beyond what is granted by then; people are asked one question at a time, and never with `fail`. */
export const budgetsHold: Invariant = (e) => {
  const faults: string[] = [];
  for (const { run_id, max_tokens, on_budget, status } of e.runs) {
    const gates = e.gates
      .filter((gate) => gate.run_id === run_id && gate.kind === 'budget')
      .toSorted((a, b) => time(a.opened_at) - time(b.opened_at));
    if (gates.length && (max_tokens === null || on_budget === 'fail')) faults.push(`${run_id} asks about its budget`);
    for (const [index, gate] of gates.entries()) {
      const before = gates[index - 1];
      if (before && time(before.answered_at ?? '9999') > time(gate.opened_at) + 50) {
        faults.push(`${gate.gate_id} was opened while ${before.gate_id} was open`);
      }
      if (gate.decision === 'reject' && !isEnded(status)) faults.push(`${run_id} is ${status} after ${gate.gate_id}`);
    }
    if (max_tokens === null) continue;
    for (const call of e.calls.filter((one) => one.run_id === run_id)) {
      const grants = gates.filter(
        (gate) => gate.decision === 'approve' && time(gate.answered_at!) <= call.received_at + 50,
      );
      const times = max_tokens * (1 + grants.length);
      const granted = Math.max(times, ...grants.map(({ asked }) => 2 * (asked?.tokens ?? 0)));
      const needed = neededFor(e, call, granted > times);
      if (needed > granted)
        faults.push(`${call.call_id} was asked, may need ${needed} in all, and ${granted} were granted`);
    }
  }
  return faults;
};

/**
 * What the run may use with this call: what it has used by then, what others under way may use, and what this one may. No reservation
 * covers a model that writes more than it was allowed: that is left out, unless a person has granted more for it (`isGranted`).
 */
function neededFor(e: Evidence, { run_id, call_id, received_at, most_tokens }: CallEntry, isGranted: boolean): number {
  const others = e.llm_calls.filter((row) => row.run_id === run_id && row.call_id !== call_id);
  const needs = others.map((row) => {
    const asked = e.calls.filter((call) => call.call_id === row.call_id);
    if (!isGranted && asked.some(({ fault }) => fault === '5 MB')) return 0;
    if (time(row.created_at) <= received_at) return row.input_tokens + row.output_tokens;
    const last = asked.at(-1);
    return last && last.received_at < received_at ? last.most_tokens : 0;
  });
  return needs.reduce((sum, tokens) => sum + tokens, most_tokens);
}
