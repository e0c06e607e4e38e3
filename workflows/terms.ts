import { patched, setHandler } from '@temporalio/workflow';
import { HandlerUnfinishedPolicy } from '@temporalio/common';
import { timeNow } from './clock.ts';
import type { Carried, PlannedTask, RunPolicies } from './contract/inputs.ts';
import type { GateState, TaskState } from './contract/states.ts';
import { noGatePolicy, type GatePolicy } from './contract/gate-rules.ts';
import { remindersBy } from './gate-policy.ts';
import { changeTermsSignal } from './messages.ts';
import { oneByOne, type ProjectedRun } from './projection.ts';
import { changeTask } from './state.ts';

/**
 * How long the gates of a run wait for people. That may be changed while the run is under way: Postgres has what holds, and
 * the run reads it there when it hears that it was changed.
 */

/** `n` is the number of the newest change that holds here, `wanted` of the newest that was heard; 0 is as it was started. */
export type Terms = RunPolicies & { gate_policy: GatePolicy; n: number; wanted: number };

export type TermedRun = ProjectedRun & {
  readonly terms: Terms;
  /** The tasks of the plan of a goal, by id. */
  readonly planned?: Map<string, PlannedTask>;
};

export function openTerms(input: RunPolicies, carried: Carried['terms']): Terms {
  const { gate_policy, human_gate_policies, step_policies } = input;
  const known = carried ?? { n: 0, gate_policy, human_gate_policies, step_policies };
  return { ...known, gate_policy: known.gate_policy ?? noGatePolicy, wanted: known.n };
}

/** From here on the run hears of changes. */
export function hearTerms(run: TermedRun): void {
  const { terms, projection } = run;
  let isReading = false;
  setHandler(
    changeTermsSignal,
    async (n) => {
      // A worker of the release before may have heard it, and done nothing.
      if (typeof n !== 'number' || !patched('terms')) return;
      terms.wanted = Math.max(terms.wanted, n);
      if (isReading) return;
      isReading = true;
      await projection.regardless.run(async () => {
        while (terms.n < terms.wanted) await readTerms(run);
      });
      isReading = false;
    },
    {
      description: 'Sent by Orchflow when the terms of the gates of a run are changed over REST.',
      unfinishedPolicy: HandlerUnfinishedPolicy.ABANDON,
    },
  );
}

/** Reads what holds now. A plan that is made meanwhile is read of later. */
export async function readTerms(run: TermedRun): Promise<void> {
  const { state, terms, planned } = run;
  const size = planned?.size;
  const several = [...(planned?.values() ?? [])].flatMap(({ id, human_gates = [] }) =>
    human_gates.length > 1 ? [[id, human_gates] as const] : [],
  );
  const request = { run_id: state.run_id, gates: Object.fromEntries(several) };
  const { n = terms.wanted, ...policies } = (await oneByOne(run, (writes) => writes.readTerms(request))) ?? {};
  Object.assign(terms, policies);
  if (planned?.size === size) terms.n = n;
}

export function termsAreAtRest({ terms }: TermedRun): boolean {
  return terms.n >= terms.wanted;
}

/** For the run that continues as new; nothing as long as they are those that it was started with. */
export function termsCarriedOver({ terms: { wanted: _, ...terms } }: TermedRun): Pick<Carried, 'terms'> {
  return terms.n > 0 ? { terms } : {};
}

/** An open gate under other terms: its time counts from its opening, and so do its reminders. */
export function changeGate(
  run: TermedRun,
  task: TaskState,
  gate: GateState,
  { before, now }: { before: GatePolicy; now: GatePolicy },
): void {
  const opened_at = Date.parse(gate.opened_at);
  const due_at = now.due_in === null ? null : new Date(opened_at + now.due_in).toISOString();
  const isDecidedAnew = now.on_timeout !== before.on_timeout && now.on_timeout !== 'wait';
  if (due_at !== gate.due_at || isDecidedAnew) gate.overdue_at = null;
  gate.due_at = due_at;
  if (now.remind_every && now.remind_every !== before.remind_every) {
    gate.reminders = remindersBy(gate, now.remind_every, timeNow());
  }
  changeTask(run, task, {});
}
