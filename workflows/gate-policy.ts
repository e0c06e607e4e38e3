import type { GatePolicy } from './contract/gate-rules.ts';
import type { GateState, TaskState } from './contract/states.ts';

/** Pure: when an open gate calls for people, and what is said when nobody came. */

export type Moment = { at: number; reminder: number | null };

/** A gate reminds so often: whom that has not moved, no more would. */
export const mostReminders = 1_000;
/** Of a gate whose account has used up its reminders, the next is thought of so much later. */
export const remindersPause_ms = 60 * 60_000;

/** When an open gate calls for people next: with a reminder, or because it is due. Undefined when it only waits. */
export function nextMoment(gate: GateState, { remind_every }: GatePolicy): Moment | undefined {
  const due = gate.due_at && !gate.overdue_at ? Date.parse(gate.due_at) : Infinity;
  const reminder = gate.reminders + 1;
  const reminds = remind_every && (gate.reminded ?? 0) < mostReminders;
  const reminded = reminds ? Date.parse(gate.opened_at) + remind_every * reminder : Infinity;
  if (due <= reminded) return due === Infinity ? undefined : { at: due, reminder: null };
  return { at: reminded, reminder };
}

/** The number of the newest reminder that is due by now. Those that no worker was there to send are not made up for. */
export function currentReminder(gate: GateState, { remind_every }: GatePolicy, now: number): number {
  return Math.max(gate.reminders + 1, remindersBy(gate, remind_every!, now));
}

/** The number of the newest reminder whose time has come by then; those before are thought of no more. */
export function newestBy(gate: GateState, { remind_every }: GatePolicy, then: number): number {
  return Math.max(gate.reminders, remindersBy(gate, remind_every!, then));
}

/** How many times for a reminder have come by then, since the gate was opened. */
export function remindersBy({ opened_at }: GateState, remind_every: number, then: number): number {
  return Math.floor((then - Date.parse(opened_at)) / remind_every);
}

/** The policy for a gate at which there is nothing that could be taken as it is: it goes on waiting. */
export function withoutApproval(policy: GatePolicy): GatePolicy {
  return policy.on_timeout === 'approve' ? { ...policy, on_timeout: 'wait' } : policy;
}

/** True when the policy itself decides a gate that nobody answers. */
export function decides({ on_timeout }: GatePolicy): boolean {
  return on_timeout !== 'wait' && on_timeout !== 'escalate';
}

/** "T3 Legal approval: reminder 2", for the timer in the Temporal Web UI. */
export function labelOf(task: TaskState, { reminder }: Moment): string {
  return `${task.id} ${task.title}: ${reminder === null ? 'due' : `reminder ${reminder}`}`;
}

export function timeoutWarning(task: TaskState): string {
  const outcome = task.output_id ? 'its draft was taken as it is' : 'it was completed without an output';
  return `Nobody answered ${task.id} in time; ${outcome}, as \`on_timeout: approve\` says.`;
}

export function timeoutError(task: TaskState): string {
  return `${task.id} "${task.title}" was due at ${task.gate!.due_at}, and nobody answered; \`on_timeout\` is "reject".`;
}
