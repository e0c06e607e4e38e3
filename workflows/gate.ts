import {
  ApplicationFailure,
  CancellationScope,
  condition,
  proxyLocalActivities,
  setHandler,
} from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import { currentReminder, decides, labelOf, nextMoment, timeoutError, timeoutWarning } from './gate-policy.ts';
import { answerFault, decisionsOf, maxSignalText, type GatePolicy, type TaskAnswer } from './contract/gate-rules.ts';
import type { CarriedRun } from './contract/inputs.ts';
import type { Decision, GateKind, GateState, TaskState } from './contract/states.ts';
import { completeTaskSignal } from './messages.ts';
import type { HumanField } from './contract/definition.ts';
import { readTextAnswer } from './contract/form.ts';
import type { ProgressTracker } from './progress.ts';
import type { Webhooks } from './webhook.ts';

const { recordAnswer, expireGate } = proxyLocalActivities<Activities>({
  startToCloseTimeout: '15s',
  retry: { initialInterval: '200ms', maximumInterval: '20s' },
});

export type SettledAnswer = { decision: Decision; output_id: string | null };

/**
 * The only place that waits for a person. Answers come by the signal `completeTask`, in any order and number; each
 * gate takes the first that fits it.
 */
export function createGates(
  run: ProgressTracker,
  webhooks: Webhooks,
  carried?: Pick<CarriedRun, 'answers' | 'openings'>,
) {
  const answers = new Map(carried?.answers);
  const openings = new Map(carried?.openings);

  function openGate(task_id: string): { task: TaskState; gate: GateState } | undefined {
    const task = run.state.tasks.find(({ id }) => id === task_id);
    return task?.gate?.status === 'open' ? { task, gate: task.gate } : undefined;
  }

  function receive(answer: TaskAnswer): void {
    const fault = take(answer);
    // REST has checked what it sends; that may come twice, or after another.
    if (!fault || answer?.output_id !== undefined) return;
    const warning = `A signal for ${answer?.task_id} was not taken: ${fault}`;
    run.warn(warning.replaceAll('\u0000', '').slice(0, 300).toWellFormed());
  }

  /** Keeps the answer for its gate, or says why it cannot. */
  function take(answer: TaskAnswer): string | undefined {
    // REST knows its gate, which may open only later here: a workflow task that was lost with its worker opened it.
    if (answer?.output_id !== undefined && answer.gate_id) {
      if (!answers.has(answer.gate_id)) answers.set(answer.gate_id, answer);
      return undefined;
    }
    const open = openGate(answer?.task_id);
    if (!open) return 'no task of this id waits for an answer.';
    const { task, gate } = open;
    if (answer.gate_id && answer.gate_id !== gate.gate_id) return `the task waits for ${gate.gate_id} by now.`;
    if (answers.has(gate.gate_id)) return 'another answer came before it.';
    const fault = signalFault(task, gate, answer);
    if (fault) return fault;
    const read = gate.fields && readTextAnswer(gate.fields, answer.output ?? '');
    if (read && 'faults' in read)
      return read.faults.map(({ field, detail }) => `${field ?? 'it'} ${detail}`).join('; ');
    answers.set(gate.gate_id, read ? { ...answer, output: JSON.stringify(read.value) } : answer);
    return undefined;
  }

  setHandler(completeTaskSignal, receive, {
    description:
      'Answers a waiting task. {"task_id": "T1", "output": "your text", "decision": "approve" | "edit" | "reject" | "retry"}; ' +
      'decision is "approve" unless given.',
  });

  /** The same whenever it is made again: in Postgres a person may have answered it before this workflow is sure of it. */
  function newGateId(task_id: string): string {
    const opening = (openings.get(task_id) ?? 0) + 1;
    openings.set(task_id, opening);
    return `${run.state.run_id.replace('run_', 'gate_')}_${task_id}_${opening}`;
  }

  /**
   * Opens a gate on the task and waits for the answer: for ever, unless the policy says otherwise. A gate that is open
   * because the run continues as new is waited for further. The task's status is `running` again afterwards.
   * @throws ApplicationFailure when nobody answered in time and the policy is to reject.
   */
  async function awaitAnswer(
    task: TaskState,
    kind: GateKind,
    policy: GatePolicy,
    reason: string | null = null,
    fields?: HumanField[],
  ): Promise<SettledAnswer> {
    const gate = task.gate?.status === 'open' ? task.gate : await open(task, kind, policy, reason, fields);
    const answer = await standingAnswer(task, gate, policy);
    if (answer === 'expired') return timeOut(task, gate, policy);
    answers.delete(gate.gate_id);
    gate.status = 'answered';
    run.changeTask(task, { status: 'running' });
    return answer;
  }

  async function open(
    task: TaskState,
    kind: GateKind,
    policy: GatePolicy,
    reason: string | null,
    fields?: HumanField[],
  ): Promise<GateState> {
    const gate: GateState = {
      gate_id: newGateId(task.id),
      task_id: task.id,
      kind,
      status: 'open',
      reason: reason?.slice(0, 500).toWellFormed() ?? null,
      decisions: decisionsOf(kind),
      opened_at: new Date().toISOString(),
      due_at: policy.due_in === null ? null : new Date(Date.now() + policy.due_in).toISOString(),
      reminders: 0,
      overdue_at: null,
      fields,
    };
    const { gate_id, due_at } = gate;
    run.record('gate.opened', { task_id: task.id, gate_id, kind, reason: gate.reason, due_at });
    run.changeTask(task, { status: 'waiting_human', gate });
    await run.saved();
    const waiting = openGates().map((open) => open.task_id);
    webhooks.send('waiting_human', waiting);
    return gate;
  }

  async function standingAnswer(
    task: TaskState,
    gate: GateState,
    policy: GatePolicy,
  ): Promise<SettledAnswer | 'expired'> {
    const { gate_id } = gate;
    const isAnswered = () => answers.has(gate_id);
    for (;;) {
      const moment = nextMoment(gate, policy);
      if (moment) await condition(isAnswered, moment.at - Date.now(), { summary: labelOf(task, moment) });
      else await condition(isAnswered);
      const answer = answers.get(gate_id);
      if (answer) return settle(gate, answer);

      if (moment!.reminder !== null) remind(task, gate, policy);
      else if (!decides(policy)) tellOverdue(task, gate, policy);
      else return standing(() => expireGate({ run_id: run.state.run_id, gate_id, on_timeout: policy.on_timeout }));
    }
  }

  function settle(gate: GateState, answer: TaskAnswer): Promise<SettledAnswer | 'expired'> {
    const { decision = 'approve', output = null, output_id } = answer;
    if (output_id !== undefined) return Promise.resolve({ decision, output_id });
    // Sent by hand: Postgres decides between it and an answer that REST has accepted but not yet signalled.
    const { gate_id } = gate;
    return standing(() => recordAnswer({ run_id: run.state.run_id, gate_id, decision, output }));
  }

  async function standing(
    decide: () => Promise<SettledAnswer | 'expired' | undefined>,
  ): Promise<SettledAnswer | 'expired'> {
    // Closed in Postgres: the cancellation is on its way here.
    return (await run.oneByOne(decide)) ?? CancellationScope.current().cancelRequested;
  }

  function remind(task: TaskState, gate: GateState, policy: GatePolicy): void {
    gate.reminders = currentReminder(gate, policy, Date.now());
    run.record('gate.reminder', { task_id: task.id, gate_id: gate.gate_id, reminder: gate.reminders });
    webhooks.send('gate.reminder', [task.id]);
  }

  function tellOverdue(task: TaskState, gate: GateState, { on_timeout, human_gate }: GatePolicy): void {
    gate.overdue_at = new Date().toISOString();
    run.record('gate.overdue', { task_id: task.id, gate_id: gate.gate_id, on_timeout });
    webhooks.send('gate.overdue', [task.id]);
    if (on_timeout === 'escalate') webhooks.escalate('gate.overdue', [task.id], human_gate);
  }

  /** What the policy does with a gate that has expired in Postgres. */
  async function timeOut(task: TaskState, gate: GateState, policy: GatePolicy): Promise<SettledAnswer> {
    if (answers.delete(gate.gate_id)) run.warn(`A signal for ${task.id} was not taken: it came too late.`);
    gate.status = 'expired';
    tellOverdue(task, gate, policy);
    // Postgres has cancelled the run: that is on its way here.
    if (policy.on_timeout === 'cancel') return CancellationScope.current().cancelRequested;
    run.changeTask(task, { status: 'running' });
    if (policy.on_timeout === 'reject') throw ApplicationFailure.nonRetryable(timeoutError(task), 'GateExpired');
    run.warn(timeoutWarning(task));
    return { decision: 'approve', output_id: null };
  }

  function openGates(): GateState[] {
    return run.state.tasks.flatMap(({ gate }) => (gate?.status === 'open' ? [gate] : []));
  }

  /** True when no open gate has its answer. */
  function isAtRest(): boolean {
    return openGates().every(({ gate_id }) => !answers.has(gate_id));
  }

  return { awaitAnswer, openGates, isAtRest, carry: () => ({ answers: [...answers], openings: [...openings] }) };
}

function signalFault(task: TaskState, gate: GateState, answer: TaskAnswer): string | undefined {
  const { decision = 'approve', output = null } = answer;
  if (answer.output_id !== undefined) return undefined;
  if (output !== null && typeof output !== 'string') return '`output` must be a text.';
  if (output && output.length > maxSignalText)
    return `\`output\` is longer than ${maxSignalText} characters; send it over REST.`;
  if (output && (!output.isWellFormed() || output.includes('\u0000')))
    return '`output` must be Unicode text without NUL.';
  return answerFault({ kind: gate.kind, has_draft: task.output_id !== null }, { decision, output })?.detail;
}
