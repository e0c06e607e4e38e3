import { CancellationScope, condition, proxyLocalActivities, setHandler } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import {
  answerFault,
  completeTaskSignal,
  decisionsOf,
  maxSignalText,
  type Decision,
  type GateKind,
  type GateState,
  type TaskAnswer,
  type TaskState,
} from './messages.ts';
import type { ProgressTracker } from './progress.ts';

const { recordAnswer } = proxyLocalActivities<Activities>({
  startToCloseTimeout: '15s',
  retry: { initialInterval: '200ms', maximumInterval: '20s' },
});

export type SettledAnswer = { decision: Decision; output_id: string | null };

/**
 * The only place that waits for a person. Answers come by the signal `completeTask`, in any order and number; each
 * gate takes the first that fits it. `onOpen` tells the world that the run waits.
 */
export function createGates(run: ProgressTracker, onOpen: () => void) {
  const answers = new Map<string, TaskAnswer>();
  const openings = new Map<string, number>();

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
    if (!fault) answers.set(gate.gate_id, answer);
    return fault;
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

  /** Opens a gate on the task and waits for ever for the answer. The task's status is `running` again afterwards. */
  async function awaitAnswer(task: TaskState, kind: GateKind, reason: string | null = null): Promise<SettledAnswer> {
    const gate: GateState = {
      gate_id: newGateId(task.id),
      task_id: task.id,
      kind,
      status: 'open',
      reason: reason?.slice(0, 500).toWellFormed() ?? null,
      decisions: decisionsOf(kind),
    };
    run.record('gate.opened', { task_id: task.id, gate_id: gate.gate_id, kind, reason: gate.reason });
    run.changeTask(task, { status: 'waiting_human', gate });
    await run.saved();
    onOpen();

    await condition(() => answers.has(gate.gate_id));
    const settled = await settle(gate, answers.get(gate.gate_id)!);
    answers.delete(gate.gate_id);
    gate.status = 'answered';
    run.changeTask(task, { status: 'running' });
    return settled;
  }

  async function settle(gate: GateState, answer: TaskAnswer): Promise<SettledAnswer> {
    const { decision = 'approve', output = null, output_id } = answer;
    if (output_id !== undefined) return { decision, output_id };
    // Sent by hand: Postgres decides between it and an answer that REST has accepted but not yet signalled.
    const { gate_id } = gate;
    const { run_id } = run.state;
    const standing = await run.oneByOne(() => recordAnswer({ run_id, gate_id, decision, output }));
    // Closed in Postgres: the cancellation is on its way here.
    return standing ?? CancellationScope.current().cancelRequested;
  }

  return { awaitAnswer };
}

function signalFault(task: TaskState, gate: GateState, answer: TaskAnswer): string | undefined {
  const { decision = 'approve', output = null } = answer;
  if (answer.output_id !== undefined) return undefined;
  if (output !== null && typeof output !== 'string') return '`output` must be a text.';
  if (output && output.length > maxSignalText)
    return `\`output\` is longer than ${maxSignalText} characters; send it over REST.`;
  if (output && (!output.isWellFormed() || output.includes('\u0000')))
    return '`output` must be Unicode text without NUL.';
  return answerFault(
    { kind: gate.kind, has_draft: task.output_id !== null },
    { decision, has_output: Boolean(output?.trim()) },
  )?.detail;
}
