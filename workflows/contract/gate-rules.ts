import type { Decision, GateKind } from './states.ts';

/** What a gate takes for an answer, and how long it waits for one. One set of rules for REST and for signals sent by hand. */

/** What happens when a gate is due: it stays open (`wait`, and `escalate`, which calls another webhook), or is decided. */
export const timeoutActions = ['wait', 'escalate', 'reject', 'approve', 'cancel'] as const;
export type OnTimeout = (typeof timeoutActions)[number];

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

/** An answer to a gate. REST stores the text and signals `output_id`; an operator may send the text itself as `output`. */
export type TaskAnswer = {
  task_id: string;
  gate_id?: string;
  decision?: Decision;
  output?: string;
  output_id?: string | null;
};

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

/**
 * Why this answer cannot stand at this gate, naming the field at fault, or undefined when it can.
 * One rule for REST and for signals sent by hand.
 */
export function answerFault(
  gate: { kind: GateKind; has_draft: boolean; decisions?: Decision[] },
  answer: { decision: Decision; output: string | null },
): { field: 'decision' | 'output'; detail: string } | undefined {
  const { kind, decisions: taken = decisions[kind] } = gate;
  const { decision, output } = answer;
  if (!taken.includes(decision)) {
    const allowed = taken.map((name) => `"${name}"`).join(', ');
    return {
      field: 'decision',
      detail: `A task waiting for ${describeGate(kind)} takes ${allowed}, not "${decision}".`,
    };
  }
  const needed =
    kind !== 'budget' &&
    kind !== 'human_step' &&
    (decision === 'edit' ||
      decision === 'reject' ||
      (decision === 'approve' && kind !== 'approval' && !gate.has_draft));
  if (needed && !output?.trim()) {
    const what = decision === 'reject' ? 'what should be done differently' : 'the text that becomes the output';
    return { field: 'output', detail: `"${decision}" needs \`output\`: ${what}.` };
  }
  if (kind === 'tool_approval' && decision === 'edit' && !isJsonObject(output!)) {
    return { field: 'output', detail: 'must be the new arguments: a JSON object.' };
  }
  return undefined;
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
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
