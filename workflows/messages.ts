import { defineQuery, defineSignal } from '@temporalio/workflow';
import type { HumanField } from './contract/definition.ts';
import type { StepMark, ValueRef } from './contract/shared-state.ts';

/** Everything that crosses the border of a run's workflow: its input, states, signals and queries. */

export type RunStatus = 'pending' | 'running' | 'waiting_human' | 'completed' | 'failed' | 'cancelled';
export type Phase = 'queued' | 'split_tasks' | 'infer_deps' | 'assign_agents' | 'execute' | 'finalize' | 'done';
/** `code`: a step of an orchestration that needs neither. */
export type TaskKind = 'ai' | 'human' | 'code';
export type TaskStatus = 'pending' | 'running' | 'waiting_human' | 'completed' | 'failed' | 'skipped' | 'cancelled';
export type GateKind = 'context' | 'human_task' | 'approval' | 'tool_approval' | 'escalation' | 'budget' | 'human_step';
export type Decision = 'approve' | 'edit' | 'reject' | 'retry';
/** `expired`: nobody answered in time, and the gate's policy decided. `closed`: the run ended. */
export type GateStatus = 'open' | 'answered' | 'expired' | 'closed';

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
};

export const noGatePolicy: GatePolicy = { due_in: null, remind_every: null, on_timeout: 'wait', human_gate: null };

/** What a run is started with. The goal, prompts and URLs stay in Postgres; a run finds them by its id. */
export type RunInput = {
  run_id: string;
  agents: { name: string; model: string | null }[];
  require_approval: boolean;
  has_webhook: boolean;
  /** What happens when the limits that Postgres holds are reached; `gate` unless given. */
  on_budget?: 'gate' | 'fail';
  /** Of every gate that has none of its own. */
  gate_policy?: GatePolicy;
  /** Of the tasks that answer to the run's `human_gates`, in their order. */
  human_gate_policies?: GatePolicy[];
  /** The run continues as new when its history has so many events, or earlier when Temporal suggests it. */
  history_limit?: number;
  /** What the run was when it continued as new. */
  carried?: CarriedRun;
  /** Of a run that takes over the plan of another, and some of its outputs: nothing is planned then. */
  plan?: TakenTask[];
};

/** What an agent task is about: how often its evaluation failed, what it is to do better, and what is wrong now. */
export type AgentWork = {
  failures: number;
  feedback_id: string | null;
  trouble: { reason: string; feedback_id?: string } | null;
  /** In the middle of an attempt. */
  is_underway: boolean;
  /** How far that attempt is. */
  loop?: AgentLoop;
};

/** An agent between its turns: the next one, calls that must be made before it, and the draft that it works from. */
export type AgentLoop = {
  turn: number;
  pending: ToolRequest[];
  draft_id: string | null;
};

/** All that is to be known of any run that is at rest. */
export type Carried = {
  state: RunState;
  /** Of gates that open later. */
  answers: [gate_id: string, TaskAnswer][];
  openings: [task_id: string, number][];
  webhooks: number;
  version: number;
};

/** And of the run of a goal. */
export type CarriedRun = Carried & {
  planned: PlannedTask[];
  works: [task_id: string, AgentWork][];
  final_work: FinalWork;
};

/** How often the final output was tried, and what people have said to it meanwhile. */
export type FinalWork = { attempt: number; remarks: string[] };

export type RunResult = { status: 'completed' | 'failed'; final_output_id: string | null; error: string | null };

export type PlannedTask = {
  id: string;
  title: string;
  kind: TaskKind;
  /** `start`: asks for context before the agents begin. `end`: a gate that no planned task answers to. */
  place: 'start' | 'planned' | 'end';
  /** The agent that the plan names. */
  agent: string | null;
  /** The entry of the run's `human_gates` that this task answers to. */
  human_gate?: number;
};

export type TakenTask = PlannedTask &
  Pick<TaskState, 'model' | 'depends_on' | 'output_id'> & {
    /** Completed in the other run, with `output_id` when it has an output. */
    is_reused: boolean;
  };

export type TaskState = {
  id: string;
  title: string;
  kind: TaskKind;
  agent: string | null;
  model: string | null;
  depends_on: string[];
  status: TaskStatus;
  attempts: number;
  /** The text (in Postgres) that stands as this task's output, or as its draft while it is not completed. */
  output_id: string | null;
  evaluation: { passed: boolean; score: number; feedback: string } | null;
  error: string | null;
  gate: GateState | null;
  step?: StepMark;
};

export type GateState = {
  gate_id: string;
  task_id: string;
  kind: GateKind;
  status: GateStatus;
  reason: string | null;
  /** What a person may decide here. */
  decisions: Decision[];
  opened_at: string;
  due_at: string | null;
  /** How many have been sent. */
  reminders: number;
  /** When it was due and the world was told. */
  overdue_at: string | null;
  /** What a person fills in at a human step. */
  fields?: HumanField[];
};

/** A call of a tool that an agent asks for: which one of its answer, from 1, and how its arguments begin. */
export type ToolRequest = {
  answer_id: string;
  position: number;
  tool: string;
  preview: string;
  /** A person must approve it first: the text of its arguments. */
  arguments_id?: string;
};

export type RunState = {
  run_id: string;
  status: RunStatus;
  phase: Phase;
  tasks: TaskState[];
  warnings: string[];
  error: string | null;
  final_output_id: string | null;
  /** Of an orchestration. */
  shared_state?: Record<string, ValueRef>;
};

/**
 * What changed in a run since the last time it was written to Postgres. It rides inside the activity that follows a
 * change, or goes by itself. Writing it again, or after a newer one, changes nothing: `version` rises with every one.
 */
export type Progress = {
  version: number;
  /** Workflow time, in milliseconds since 1970. */
  at: number;
  run: Pick<RunState, 'status' | 'phase' | 'warnings' | 'error' | 'final_output_id' | 'shared_state'>;
  tasks: (Omit<TaskState, 'gate'> & { position: number })[];
  gates: GateState[];
  events: RunEvent[];
};

/** `key` is unique in its run, so that an event written twice is one event. */
export type RunEvent = { key: string; type: string; data: Record<string, unknown> };

/** An answer to a gate. REST stores the text and signals `output_id`; an operator may send the text itself as `output`. */
export type TaskAnswer = {
  task_id: string;
  gate_id?: string;
  decision?: Decision;
  output?: string;
  output_id?: string | null;
};

export const completeTaskSignal = defineSignal<[TaskAnswer]>('completeTask');
export const runStateQuery = defineQuery<RunState>('runState');
export const waitingTasksQuery = defineQuery<GateState[]>('waitingTasks');

export const runWorkflowType = 'orchflowRun';
export const orchestrationWorkflowType = 'orchestrationRun';
export const webhookWorkflowType = 'webhookDelivery';

/** One event for a run's webhook. `sequence` tells the events of a run apart. */
export type WebhookDelivery = {
  run_id: string;
  sequence: number | string;
  event: string;
  waiting_tasks: string[];
  /** Given: to the escalation webhook of this entry of `human_gates`, or of the run when null. */
  escalates?: { human_gate: number | null };
  /** Set when a person has it sent again: the delivery is there, with its body. */
  redelivery?: number;
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
  gate: { kind: GateKind; has_draft: boolean },
  answer: { decision: Decision; output: string | null },
): { field: 'decision' | 'output'; detail: string } | undefined {
  const { kind } = gate;
  const { decision, output } = answer;
  if (!decisions[kind].includes(decision)) {
    const allowed = decisions[kind].map((name) => `"${name}"`).join(', ');
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
