import { setHandler } from '@temporalio/workflow';
import { readTextAnswer } from './contract/form.ts';
import { answerFault, maxSignalText, type TaskAnswer } from './contract/gate-rules.ts';
import type { GateState, RunState, TaskState } from './contract/states.ts';
import { completeTaskSignal } from './messages.ts';
import { warn, type ChangingRun } from './state.ts';

/** The answers that came, by gate. They come by the signal `completeTask`, in any order and number; the first that fits stands. */
export type Inbox = Map<string, TaskAnswer>;

/** A run that answers reach. */
export type HearingRun = ChangingRun & { readonly inbox: Inbox };

/** From here on answers are taken, also those that came before the run began. */
export function openInbox(run: HearingRun): void {
  setHandler(completeTaskSignal, (answer) => receive(run, answer), {
    description:
      'Answers a waiting task. {"task_id": "T1", "output": "your text", "decision": "approve" | "edit" | "reject" | "retry"}; ' +
      'decision is "approve" unless given.',
  });
}

function receive(run: HearingRun, answer: TaskAnswer): void {
  const fault = keep(run, answer);
  // REST has checked what it sends; that may come twice, or after another.
  if (!fault || answer?.output_id !== undefined) return;
  const warning = `A signal for ${answer?.task_id} was not taken: ${fault}`;
  warn(run, warning.replaceAll('\u0000', '').slice(0, 300).toWellFormed());
}

/** Keeps the answer for its gate, or says why it cannot. */
function keep({ state, inbox }: HearingRun, answer: TaskAnswer): string | undefined {
  // REST knows its gate, which may open only later here: a workflow task that was lost with its worker opened it.
  if (answer?.output_id !== undefined && answer.gate_id) {
    if (!inbox.has(answer.gate_id)) inbox.set(answer.gate_id, answer);
    return undefined;
  }
  const open = openGateOf(state, answer?.task_id);
  if (!open) return 'no task of this id waits for an answer.';
  const { task, gate } = open;
  if (answer.gate_id && answer.gate_id !== gate.gate_id) return `the task waits for ${gate.gate_id} by now.`;
  if (inbox.has(gate.gate_id)) return 'another answer came before it.';
  const fault = signalFault(task, gate, answer);
  if (fault) return fault;
  const read = gate.fields && readTextAnswer(gate.fields, answer.output ?? '');
  if (read && 'faults' in read) return read.faults.map(({ field, detail }) => `${field ?? 'it'} ${detail}`).join('; ');
  inbox.set(gate.gate_id, read ? { ...answer, output: JSON.stringify(read.value) } : answer);
  return undefined;
}

function openGateOf({ tasks }: RunState, task_id: string): { task: TaskState; gate: GateState } | undefined {
  const task = tasks.find(({ id }) => id === task_id);
  return task?.gate?.status === 'open' ? { task, gate: task.gate } : undefined;
}

/** What an operator sends by hand may be anything. */
function signalFault(task: TaskState, gate: GateState, answer: TaskAnswer): string | undefined {
  const { decision = 'approve', output = null } = answer;
  if (answer.output_id !== undefined) return undefined;
  if (output !== null && typeof output !== 'string') return '`output` must be a text.';
  if (output && output.length > maxSignalText)
    return `\`output\` is longer than ${maxSignalText} characters; send it over REST.`;
  if (output && (!output.isWellFormed() || output.includes('\u0000')))
    return '`output` must be Unicode text without NUL.';
  return answerFault({ ...gate, has_draft: task.output_id !== null }, { decision, output })?.detail;
}
