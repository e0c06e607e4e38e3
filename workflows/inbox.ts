import { patched, setHandler } from '@temporalio/workflow';
import { readSignalOf010 } from './answers-of-0.1.0.ts';
import {
  maxSignalText,
  readGateAnswer,
  type AnswerFault,
  type SentAnswer,
  type TaskAnswer,
} from './contract/gate-rules.ts';
import type { Decision, GateState, RunState, TaskState } from './contract/states.ts';
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
      'decision is "approve" unless given; for the call of a tool and for money it must be. The fields of a form are an object: {"task_id": "ask", "output": {"name": "value"}}.',
  });
}

function receive(run: HearingRun, answer: SentAnswer): void {
  const fault = keep(run, answer);
  // REST has checked what it sends; that may come twice, or after another.
  if (!fault || answer?.output_id !== undefined) return;
  const task_id: unknown = answer?.task_id;
  const warning = `A signal for ${typeof task_id === 'string' ? task_id : 'no task_id'} was not taken: ${fault}`;
  warn(run, warning.replaceAll('\u0000', '').slice(0, 300).toWellFormed());
}

/** Keeps the answer for its gate, or says why it cannot. */
function keep({ state, inbox }: HearingRun, answer: SentAnswer): string | undefined {
  // REST knows its gate, which may open only later here: a workflow task that was lost with its worker opened it.
  if (answer?.output_id !== undefined && answer.gate_id) {
    if (!inbox.has(answer.gate_id)) inbox.set(answer.gate_id, answer as TaskAnswer);
    return undefined;
  }
  const open = openGateOf(state, answer?.task_id);
  if (!open) return 'no task of this id waits for an answer.';
  const { task, gate } = open;
  if (answer.gate_id && answer.gate_id !== gate.gate_id) return `the task waits for ${gate.gate_id} by now.`;
  if (inbox.has(gate.gate_id)) return 'another answer came before it.';
  const known = { ...gate, has_draft: task.output_id !== null };
  // Runs of 0.1.0 took other answers.
  const read = patched('answers-in-types') ? readSignal(known, answer) : readSignalOf010(known, answer);
  if ('fault' in read) return read.fault;
  inbox.set(gate.gate_id, { ...answer, ...read });
  return undefined;
}

function openGateOf({ tasks }: RunState, task_id: string): { task: TaskState; gate: GateState } | undefined {
  const task = tasks.find(({ id }) => id === task_id);
  return task?.gate?.status === 'open' ? { task, gate: task.gate } : undefined;
}

type ReadSignal = { decision: Decision; output: string | null; output_id: undefined } | { fault: string };

const members = ['task_id', 'gate_id', 'decision', 'output', 'output_id'];

/** What an operator sends by hand may be anything; it is read as REST reads what its clients send. */
function readSignal(gate: Parameters<typeof readGateAnswer>[0], answer: SentAnswer): ReadSignal {
  const unknown = Object.keys(answer).find((name) => !members.includes(name));
  if (unknown !== undefined) return { fault: `\`${unknown}\` is none of ${members.slice(0, 4).join(', ')}.` };
  const read = readGateAnswer(gate, answer);
  if ('faults' in read) return { fault: read.faults.map(wordsOf).join('; ') };
  // No signal by hand answers with a text that is in Postgres already.
  if (read.output === null || read.output.length <= maxSignalText) return { ...read, output_id: undefined };
  return { fault: `\`output\` is longer than ${maxSignalText} characters; send it over REST.` };
}

/** Some faults are whole sentences, others say what is wrong with their field. */
function wordsOf({ field, member, detail }: AnswerFault): string {
  if (member) return `${member} ${detail}`;
  return /^[a-z]/.test(detail) ? `\`${field}\` ${detail}` : detail;
}
