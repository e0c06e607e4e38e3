import type { HumanField } from './field-values.ts';
import type { OnTimeout } from './gate-terms.ts';
import { isBlank, isObject, isStorable, readAnswer, unstorable } from './form.ts';
import type { Decision, GateKind } from './states.ts';

/** What a gate takes for an answer, and how long it waits for one. One set of rules for REST and for signals sent by hand. */

/** How long a gate may wait for a person, and how often it reminds them, in milliseconds. */
export type GatePolicy = {
  due_in: number | null;
  remind_every: number | null;
  on_timeout: OnTimeout;
  /** The entry of the run's `human_gates` whose escalation webhook is called; null is the run's own. */
  human_gate: number | null;
  /** Of a task that answers to several: those whose escalation webhooks are called, whatever `on_timeout` says. */
  escalates?: number[];
};

export const noGatePolicy: GatePolicy = { due_in: null, remind_every: null, on_timeout: 'wait', human_gate: null };

/** An answer to a gate. REST stores the text and signals `output_id`; one that was signalled by hand has the text itself. */
export type TaskAnswer = {
  task_id: string;
  gate_id?: string;
  decision?: Decision;
  output?: string | null;
  output_id?: string | null;
};

/** What a person sends: words, the fields of a form by name, or the arguments of a call. */
export type GivenOutput = string | Record<string, unknown> | null;

/** An answer as it is signalled: an operator sends as `output` what a client of REST sends. */
export type SentAnswer = Omit<TaskAnswer, 'output'> & { output?: GivenOutput };

/** The longest text that an operator may put into a signal, in characters. */
export const maxSignalText = 64_000;

const decisions: Record<GateKind, Decision[]> = {
  context: ['approve', 'edit'],
  human_task: ['approve', 'edit'],
  approval: ['approve', 'edit', 'reject'],
  tool_approval: ['approve', 'edit', 'reject'],
  escalation: ['approve', 'edit', 'reject', 'retry'],
  budget: ['approve', 'reject'],
  human_step: ['approve'],
};

/** The decisions that a gate of this kind takes. */
export function decisionsOf(kind: GateKind): Decision[] {
  return decisions[kind];
}

/** What must be known of a gate to read an answer to it; `fields` are those of a form. */
type Gate = { kind: GateKind; has_draft: boolean; decisions?: Decision[]; fields?: HumanField[] };
type Given = { decision?: Decision | null; output?: GivenOutput };

/** `member` is one of `output`, when it is a form. */
export type AnswerFault = { field: 'decision' | 'output'; member?: string | null; detail: string };

/**
 * What an answer says at this gate, or why it cannot stand there. It is `approve` unless it says otherwise, and its text is
 * that which is kept: a form as JSON in the types of its fields. A text that does not become the output is kept with its
 * gate; but where an approval makes a call or grants money, the decision must be said: nothing follows from what is not there.
 */
export function readGateAnswer(
  gate: Gate,
  given: Given,
): { decision: Decision; output: string | null } | { faults: AnswerFault[] } {
  const decision = given.decision ?? 'approve';
  const { decisions: taken = decisions[gate.kind] } = gate;
  const allowed = taken.map((name) => `"${name}"`).join(', ');
  if (!taken.includes(decision)) {
    // From a signal it may be anything, also what cannot be made a text.
    if (decision === 'reject' && gate.kind === 'human_task') {
      const detail = `"reject" needs \`send_back_to\` here: the task before it that is done again.`;
      return { faults: [{ field: 'decision', detail }] };
    }
    const what = typeof decision === 'string' ? `"${decision}"` : 'this';
    const detail = `A task waiting for ${describeGate(gate.kind)} takes ${allowed}, not ${what}.`;
    return { faults: [{ field: 'decision', detail }] };
  }
  const read = readOutput(gate, given.output ?? null);
  if ('faults' in read) return read;
  const { output } = read;
  const isSilent = output === null || isBlank(output);
  if (!given.decision && (gate.kind === 'tool_approval' || gate.kind === 'budget')) {
    return { faults: [{ field: 'decision', detail: `Say one of ${allowed}: nothing is approved here by default.` }] };
  }
  if (isSilent && needsOutput(gate, decision)) {
    const what = decision === 'reject' ? 'what should be done differently' : 'the text that becomes the output';
    return { faults: [{ field: 'output', detail: `"${decision}" needs \`output\`: ${what}.` }] };
  }
  if (gate.kind === 'tool_approval' && decision === 'edit' && !isJsonObject(output!)) {
    return { faults: [{ field: 'output', detail: 'must be the new arguments: a JSON object.' }] };
  }
  return { decision, output };
}

/** The text that is kept of what was sent. Objects are for forms, and for the arguments of calls. */
function readOutput(
  { kind, fields = [] }: Gate,
  given: GivenOutput,
): { output: string | null } | { faults: AnswerFault[] } {
  const isForm = kind === 'human_step';
  if (isForm || (isObject(given) && kind === 'tool_approval')) {
    const read = readAnswer(fields, given ?? '');
    if ('value' in read) return { output: JSON.stringify(read.value) };
    return { faults: read.faults.map(({ field, detail }) => ({ field: 'output', member: field, detail })) };
  }
  if (given !== null && typeof given !== 'string') return { faults: [{ field: 'output', detail: 'must be a text' }] };
  if (given !== null && !isStorable(given)) return { faults: [{ field: 'output', detail: unstorable }] };
  return { output: given };
}

function needsOutput({ kind, has_draft }: Gate, decision: Decision): boolean {
  if (kind === 'budget' || kind === 'human_step') return false;
  return decision === 'edit' || decision === 'reject' || (decision === 'approve' && kind !== 'approval' && !has_draft);
}

function isJsonObject(text: string): boolean {
  try {
    return isObject(JSON.parse(text));
  } catch {
    return false;
  }
}

/** A gate's kind in words: "a task waiting for …". */
export function describeGate(kind: GateKind): string {
  switch (kind) {
    case 'context':
      return 'missing context';
    case 'human_task':
      return 'a person to do it';
    case 'approval':
      return 'approval';
    case 'tool_approval':
      return 'approval of a tool call';
    case 'escalation':
      return 'help';
    case 'budget':
      return 'a decision on its budget';
    case 'human_step':
      return 'the input of a person';
  }
}

/** Which opening of its task's gates it is, from 1. */
export function openingOf(gate_id: string): number {
  return Number(gate_id.slice(gate_id.lastIndexOf('_') + 1));
}
