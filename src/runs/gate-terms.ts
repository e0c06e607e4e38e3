import type { Duration } from '@temporalio/common';
import { msToNumber } from '@temporalio/common/lib/time.js';
import type { HumanGate, Run } from '../../db/schema.ts';
import type { GatePolicy } from '../../workflows/contract/gate-rules.ts';
import type { GateTerms, OnTimeout } from '../../workflows/contract/gate-terms.ts';
import type { PlannedTask, RunPolicies } from '../../workflows/contract/inputs.ts';
import { gateName } from '../../workflows/contract/plan.ts';
import { requireNone, type FieldFault, type Path } from '../errors.ts';

/** How long gates wait for people: what a run asks for, and what its workflow is told. */

type Terms = { [name in keyof GateTerms]?: GateTerms[name] };

/** The terms of an entry of `human_gates`: its own, and what it does not name from the run. */
function termsOf(gate: HumanGate, run: Terms): Terms {
  return typeof gate === 'string' ? run : { ...run, ...gate };
}

function milliseconds(duration: string | null | undefined): number | null {
  return duration ? msToNumber(duration as Duration) : null;
}

/** A gate with terms of its own, and where they stand in what was given. */
export type GateWithTerms = { at: Path; own: Terms };

/** The entries of `human_gates` that have terms of their own. */
export function gatesWithTerms(human_gates: HumanGate[]): GateWithTerms[] {
  return human_gates.flatMap((gate, index) =>
    typeof gate === 'string' ? [] : { at: ['human_gates', index], own: gate },
  );
}

/**
 * Throws `InvalidInputError` for terms that cannot work: a timeout that never comes, an escalation to nowhere, too many
 * reminders, or reminders that never come.
 */
export function checkGateTerms(run: Terms, gates: GateWithTerms[], minReminderSeconds: number): void {
  requireNone(gateTermsFaults(run, gates, minReminderSeconds));
}

/** What is wrong with them. */
export function gateTermsFaults(run: Terms, gates: GateWithTerms[], minReminderSeconds: number): FieldFault[] {
  const own = gates.flatMap((gate) => faultsOf({ ...run, ...gate.own }, gate.own, gate.at, minReminderSeconds));
  return [...faultsOf(run, run, [], minReminderSeconds), ...own];
}

/** Where webhooks go, with where that stands in what was given. */
export function addressesOf(
  { webhook_url, escalation_webhook_url }: Terms & { webhook_url?: string | null },
  gates: GateWithTerms[],
): [Path, string | null | undefined][] {
  return [
    [['webhook_url'], webhook_url],
    [['escalation_webhook_url'], escalation_webhook_url],
    ...gates.map(({ at, own }): [Path, string | null | undefined] => [
      [...at, 'escalation_webhook_url'],
      own.escalation_webhook_url,
    ]),
  ];
}

/** `own` is what is named at this place itself. */
function faultsOf(terms: Terms, own: Terms, at: Path, minReminderSeconds: number): FieldFault[] {
  const { gate_due_in, remind_every, on_timeout = 'wait', escalation_webhook_url } = terms;
  const faults: FieldFault[] = [];
  if (on_timeout !== 'wait' && !gate_due_in) {
    faults.push({ path: [...at, 'gate_due_in'], detail: `is needed with \`on_timeout: "${on_timeout}"\`` });
  }
  if (on_timeout === 'escalate' && !escalation_webhook_url) {
    faults.push({ path: [...at, 'escalation_webhook_url'], detail: 'is needed with `on_timeout: "escalate"`' });
  }
  if (remind_every && milliseconds(remind_every)! < minReminderSeconds * 1000) {
    faults.push({ path: [...at, 'remind_every'], detail: `must be at least ${minReminderSeconds} seconds` });
  }
  if (own.remind_every && outlasts(remind_every, gate_due_in) && on_timeout !== 'wait' && on_timeout !== 'escalate') {
    const detail = `must be shorter than \`gate_due_in\`: with \`on_timeout: "${on_timeout}"\` no gate is open for longer`;
    faults.push({ path: [...at, 'remind_every'], detail });
  }
  return faults;
}

function outlasts(reminder: string | null | undefined, due: string | null | undefined): boolean {
  return Boolean(reminder && due) && milliseconds(reminder)! >= milliseconds(due)!;
}

/** What a plan says of a task that answers to these entries of `human_gates`. Of several, the strictest terms hold. */
export function gatesOfTask(
  run: Terms & { human_gates: HumanGate[] },
  human_gates: number[],
): Pick<PlannedTask, 'human_gate' | 'human_gates' | 'gate_policy'> {
  const [human_gate] = human_gates;
  if (human_gate === undefined) return {};
  const own = { human_gate, human_gates };
  return human_gates.length === 1 ? own : { ...own, gate_policy: strictest(run, human_gate, human_gates) };
}

/** From the one that passes without a person to the one that fails the run. */
const byStrictness: OnTimeout[] = ['approve', 'wait', 'escalate', 'cancel', 'reject'];

/** Term by term: the earliest due date, the most frequent reminders, the strictest action. Everybody who is to be told is. */
function strictest(run: Terms & { human_gates: HumanGate[] }, human_gate: number, human_gates: number[]): GatePolicy {
  const terms = human_gates.map((index) => termsOf(run.human_gates[index]!, run));
  const policies = terms.map((own, index) => policyOf(own, human_gates[index]!));
  const urls = terms.map(({ on_timeout, escalation_webhook_url }) =>
    on_timeout === 'escalate' ? escalation_webhook_url : null,
  );
  return {
    due_in: shortest(policies.map(({ due_in }) => due_in)),
    remind_every: shortest(policies.map(({ remind_every }) => remind_every)),
    on_timeout: byStrictness.findLast((action) => policies.some(({ on_timeout }) => on_timeout === action))!,
    human_gate,
    escalates: human_gates.filter((_, index) => urls[index] && urls.indexOf(urls[index]) === index),
  };
}

function shortest(durations: (number | null)[]): number | null {
  const given = durations.filter((duration) => duration !== null);
  return given.length > 0 ? Math.min(...given) : null;
}

/**
 * What the workflow is told: the policy of the run, and that of each entry of its `human_gates`, of which an orchestration has one
 * for each step with terms of its own.
 */
export function gatePolicies(run: Run) {
  return {
    gate_policy: policyOf(run, null),
    human_gate_policies: run.human_gates.map((gate, index) => policyOf(termsOf(gate, run), index)),
  };
}

/** The same by step, for an orchestration. */
function stepPolicies(run: Run): Record<string, GatePolicy> {
  const { human_gate_policies } = gatePolicies(run);
  return Object.fromEntries(run.human_gates.map((gate, index) => [gateName(gate), human_gate_policies[index]!]));
}

/** All of it, and of the tasks that answer to several entries of `human_gates` (`gates`, by task) the strictest terms. */
export function policiesOf(run: Run, gates: Record<string, number[]>): RunPolicies {
  const strictest = Object.entries(gates).map(([id, entries]) => [id, gatesOfTask(run, entries).gate_policy!]);
  return {
    ...gatePolicies(run),
    ...(run.kind === 'orchestration' && { step_policies: stepPolicies(run) }),
    task_policies: Object.fromEntries(strictest),
  };
}

function policyOf({ gate_due_in, remind_every, on_timeout = 'wait' }: Terms, human_gate: number | null): GatePolicy {
  return { due_in: milliseconds(gate_due_in), remind_every: milliseconds(remind_every), on_timeout, human_gate };
}
