import { ApplicationFailure, CancellationScope, condition, patched } from '@temporalio/workflow';
import { cancellationFromPostgres, stopHere } from './cancellation.ts';
import { timeNow } from './clock.ts';
import type { HumanField } from './contract/field-values.ts';
import { decisionsOf, type GatePolicy, type TaskAnswer } from './contract/gate-rules.ts';
import type { Decision, GateKind, GateState, RunState, Spending, TaskState } from './contract/states.ts';
import {
  currentReminder,
  decides,
  labelOf,
  newestBy,
  nextMoment,
  remindersPause_ms,
  timeoutError,
  timeoutWarning,
} from './gate-policy.ts';
import type { HearingRun } from './inbox.ts';
import type { OwnWrites } from './own-writes.ts';
import { oneByOne, saved } from './projection.ts';
import { takeReminder, type RemindingRun } from './reminders.ts';
import { changeTask, record, warn } from './state.ts';
import { changeGate, readTerms, type TermedRun } from './terms.ts';
import type { Webhooks } from './webhook.ts';

/** The only place that waits for a person. */

/** How often each task has had a gate. */
export type Openings = Map<string, number>;

/** A run that can ask people. */
export type AskingRun = TermedRun &
  HearingRun &
  RemindingRun & { readonly openings: Openings; readonly webhooks: Webhooks };

type Question = {
  kind: GateKind;
  /** As it is at the moment. */
  policy: () => GatePolicy;
  reason?: string | null;
  /** What is to be filled in. */
  fields?: HumanField[];
  /** Where not all make sense that such a gate takes. */
  decisions?: Decision[];
  /** Of a question about the budget. */
  asked?: Spending;
};

type SettledAnswer = { decision: Decision; output_id: string | null };
type Settled = SettledAnswer | 'expired' | 'other_terms';

/**
 * Opens a gate on the task and waits for the answer: for ever, unless the policy says otherwise. A gate that is open
 * because the run continues as new is waited for further. The task's status is `running` again afterwards.
 * @throws ApplicationFailure when nobody answered in time and the policy is to reject.
 */
export async function awaitAnswer(run: AskingRun, task: TaskState, question: Question): Promise<SettledAnswer> {
  const { policy } = question;
  const gate = task.gate?.status === 'open' ? task.gate : await open(run, task, question);
  let answer = await awaitSettled(run, task, gate, policy);
  while (answer === 'other_terms') {
    const before = policy();
    // The run will hear of them, and need not wait for it.
    await readTerms(run);
    changeGate(run, task, gate, { before, now: policy() });
    answer = await awaitSettled(run, task, gate, policy);
  }
  stopHere(run);
  run.projection.waitedUntil = timeNow();
  if (answer === 'expired') return timeOut(run, task, gate, policy());
  run.inbox.delete(gate.gate_id);
  gate.status = 'answered';
  // The state rides with what is carried over to the next execution, and nobody fills this in any more.
  delete gate.fields;
  changeTask(run, task, { status: 'running' });
  return answer;
}

/** The gates that wait for a person now. */
export function openGates({ tasks }: RunState): GateState[] {
  return tasks.flatMap(({ gate }) => (gate?.status === 'open' ? [gate] : []));
}

/** True when no open gate has its answer. */
export function gatesAreAtRest({ state, inbox }: AskingRun): boolean {
  return openGates(state).every(({ gate_id }) => !inbox.has(gate_id));
}

async function open(run: AskingRun, task: TaskState, question: Question): Promise<GateState> {
  const { kind, reason, fields, asked, decisions = decisionsOf(kind) } = question;
  const { due_in } = question.policy();
  const gate: GateState = {
    gate_id: newGateId(run, task.id),
    task_id: task.id,
    kind,
    status: 'open',
    reason: reason?.slice(0, 500).toWellFormed() ?? null,
    decisions,
    opened_at: new Date(timeNow()).toISOString(),
    due_at: due_in === null ? null : new Date(timeNow() + due_in).toISOString(),
    reminders: 0,
    overdue_at: null,
    fields,
    asked,
  };
  const { gate_id, due_at } = gate;
  record(run, 'gate.opened', { task_id: task.id, gate_id, kind, reason: gate.reason, due_at });
  changeTask(run, task, { status: 'waiting_human', gate });
  await saved(run);
  const waiting = openGates(run.state).map(({ task_id }) => task_id);
  // Nobody is asked any more when its task was skipped meanwhile, or is done again.
  if (gate.status === 'open' || !run.state.steered) run.webhooks.send('waiting_human', waiting);
  return gate;
}

/** The same whenever it is made again: in Postgres a person may have answered it before this workflow is sure of it. */
function newGateId({ state, openings }: AskingRun, task_id: string): string {
  const opening = (openings.get(task_id) ?? 0) + 1;
  openings.set(task_id, opening);
  return `${state.run_id.replace('run_', 'gate_')}_${task_id}_${opening}`;
}

async function awaitSettled(
  run: AskingRun,
  task: TaskState,
  gate: GateState,
  policyNow: () => GatePolicy,
): Promise<Settled> {
  const { run_id } = run.state;
  const { gate_id } = gate;
  const isAnswered = () => run.inbox.has(gate_id);
  let policy = policyNow();
  let { n } = run.terms;
  for (;;) {
    const isAwake = () => isAnswered() || run.terms.n > n;
    const moment = nextMoment(gate, policy);
    if (moment) await condition(isAwake, Math.max(moment.at - timeNow(), 1), { summary: labelOf(task, moment) });
    else await condition(isAwake);
    const answer = run.inbox.get(gate_id);
    if (answer) return settle(run, gate, answer);
    if (run.terms.n > n) {
      const before = policy;
      policy = policyNow();
      n = run.terms.n;
      changeGate(run, task, gate, { before, now: policy });
      continue;
    }

    if (moment!.reminder !== null) {
      gate.reminders = currentReminder(gate, policy, timeNow());
      if (patched('reminders-are-bounded')) await remindWithinBounds(run, task, gate, policy);
      else remind(run, task, gate);
    } else if (!decides(policy)) tellOverdue(run, task, gate, policy);
    else {
      const late = { run_id, gate_id, on_timeout: policy.on_timeout, terms: n };
      return decidedInPostgres(run, ({ expireGate }) => expireGate(late));
    }
  }
}

function settle(run: AskingRun, { gate_id }: GateState, answer: TaskAnswer): Promise<Settled> {
  const { decision = 'approve', output = null, output_id } = answer;
  if (output_id !== undefined) return Promise.resolve({ decision, output_id });
  const { run_id } = run.state;
  return decidedInPostgres(run, ({ recordAnswer }) => recordAnswer({ run_id, gate_id, decision, output }));
}

/**
 * Postgres decides between what has come here and what REST has accepted but not yet signalled: the first there stands.
 * Neither does when the gate is closed there, as the run is cancelled.
 */
async function decidedInPostgres(
  run: AskingRun,
  decide: (writes: OwnWrites) => Promise<Settled | undefined>,
): Promise<Settled> {
  return (await oneByOne(run, decide)) ?? cancellationFromPostgres();
}

/** Tells it while the account has reminders left, and else comes back to it later. */
async function remindWithinBounds(run: AskingRun, task: TaskState, gate: GateState, policy: GatePolicy): Promise<void> {
  const isTaken = await takeReminder(run);
  // It may have been answered meanwhile, or stopped with its task or run.
  if (run.inbox.has(gate.gate_id) || CancellationScope.current().consideredCancelled) return;
  if (!isTaken) gate.reminders = newestBy(gate, policy, timeNow() + remindersPause_ms);
  else {
    gate.reminded = (gate.reminded ?? 0) + 1;
    remind(run, task, gate);
  }
}

function remind(run: AskingRun, task: TaskState, gate: GateState): void {
  record(run, 'gate.reminder', {
    task_id: task.id,
    gate_id: gate.gate_id,
    reminder: gate.reminders,
    ...whichTerms(run),
  });
  run.webhooks.send('gate.reminder', [task.id]);
}

function tellOverdue(run: AskingRun, task: TaskState, gate: GateState, policy: GatePolicy): void {
  const { on_timeout, human_gate, escalates = on_timeout === 'escalate' ? [human_gate] : [] } = policy;
  gate.overdue_at = new Date(timeNow()).toISOString();
  record(run, 'gate.overdue', { task_id: task.id, gate_id: gate.gate_id, on_timeout, ...whichTerms(run) });
  run.webhooks.send('gate.overdue', [task.id]);
  for (const escalated of escalates) run.webhooks.escalate('gate.overdue', [task.id], escalated);
}

/** What the policy does with a gate that has expired in Postgres. */
async function timeOut(run: AskingRun, task: TaskState, gate: GateState, policy: GatePolicy): Promise<SettledAnswer> {
  if (run.inbox.delete(gate.gate_id)) warn(run, `A signal for ${task.id} was not taken: it came too late.`);
  gate.status = 'expired';
  tellOverdue(run, task, gate, policy);
  // Postgres has cancelled the run with it.
  if (policy.on_timeout === 'cancel') return cancellationFromPostgres();
  changeTask(run, task, { status: 'running' });
  if (policy.on_timeout === 'reject') throw ApplicationFailure.nonRetryable(timeoutError(task), 'GateExpired');
  warn(run, timeoutWarning(task));
  return { decision: 'approve', output_id: null };
}

/** For events that may come once more under other terms. */
function whichTerms({ terms: { n } }: AskingRun): { n?: number } {
  return n > 0 ? { n } : {};
}
