import type { Evidence } from '../evidence.ts';
import { loopOf, turnOf } from './calls.ts';
import { time, type Invariant } from './runs.ts';
import { endOf } from './timers.ts';

/** The gates of this task at which a call of a tool was approved by then: by a person, or by the terms of the run. */
function approvalsOf(e: Evidence, run_id: string, task_id: string, at: number) {
  const run = e.runs.find((row) => row.run_id === run_id)!;
  return e.gates.filter((gate) => {
    if (gate.run_id !== run_id || gate.task_id !== task_id || gate.kind !== 'tool_approval') return false;
    if (gate.status === 'expired') return endOf(e, run, gate) === 'approve';
    return /approve|edit/.test(gate.decision ?? '') && time(gate.answered_at!) <= at + 50;
  });
}

/** 13. Each call of a tool that people approve has an approval of its own before it, with the arguments that they wrote. */
export const toolsAreApproved: Invariant = (e) => {
  const careful = e.orders.filter(({ path }) => path === '/careful');
  return [
    ...unapproved(e, careful),
    ...careful.flatMap(({ call_id, body, at }) => {
      const [run_id, task_id] = call_id.split('/') as [string, string];
      const stands = approvalsOf(e, run_id, task_id, at).some(({ gate_id }) =>
        e.texts.get(gate_id)?.includes(`"${body}"`),
      );
      return body.includes('-says-') && !stands ? [`${call_id} was called with ${body}, which does not stand`] : [];
    }),
  ];
};

/** A call as it reached a tool outside. */
type Made = { call_id: string; at: number };

/** Those of these calls that were made without a gate that is theirs alone. */
function unapproved(e: Evidence, made: Made[]): string[] {
  return made.flatMap(({ call_id, at }) => {
    const [run_id, task_id] = call_id.split('/') as [string, string];
    const before = approvalsOf(e, run_id, task_id, at);
    const ofTask = made.filter((call) => call.call_id.startsWith(`${run_id}/${task_id}/`) && call.at <= at);
    const calls = new Set(ofTask.map((call) => call.call_id));
    const kept = e.tool_calls.find((row) => row.call_id === call_id);
    const faults: string[] = [];
    if (calls.size > before.length) {
      faults.push(`${call_id} was called at ${at}, the ${calls.size}th of ${task_id}, with ${before.length} approvals`);
    }
    if (kept && !before.some(({ gate_id }) => gate_id === kept.gate_id)) {
      faults.push(`${call_id} was called at ${at}, approved at ${kept.gate_id}`);
    }
    return faults;
  });
}

/** The tool of the hostile tenant that people approve whenever an agent has it. */
const careful = 'pay';

/** The number that the hostile tenant's servers tell of themselves. */
function serverOf(description: string): number | undefined {
  const number = /^Of server (\d+)/.exec(description)?.[1];
  return number === undefined ? undefined : Number(number);
}

/**
 * 21. Whatever becomes of servers and definitions meanwhile, a tool is called only as it was offered in that turn, of the
 * server that was meant; where people approve it, with a gate of its own, and no gate is of two calls.
 */
export const toolsAreCalledAsOffered: Invariant = (e) => {
  const ofHostile = e.hostile.toolCalls;
  const made: (Made & { server?: number })[] = [...e.orders, ...ofHostile];
  const turns = [...e.calls, ...e.hostile.calls];
  const faults = unapproved(
    e,
    ofHostile.filter(({ tool }) => tool === careful),
  );
  for (const { call_id, server, at } of made) {
    const answer_id = loopOf(call_id);
    const asked = e.llm_calls.find((row) => row.call_id === answer_id)?.tool_calls?.[turnOf(call_id) - 1];
    const offered = turns.filter((turn) => turn.call_id === answer_id).flatMap((turn) => turn.offered);
    const isOffered = offered.some(({ name, description }) => name === asked?.name && serverOf(description) === server);
    if (!asked) faults.push(`${call_id} was called at ${at}, and no model asked for it`);
    else if (!isOffered)
      faults.push(`${call_id} called ${asked.name} of server ${server}, of ${JSON.stringify(offered)}`);
  }
  const gates = e.tool_calls.flatMap(({ gate_id }) => gate_id ?? []);
  for (const gate_id of new Set(gates.filter((gate, index) => gates.indexOf(gate) < index))) {
    faults.push(`${gate_id} is the gate of several calls`);
  }
  return faults;
};
