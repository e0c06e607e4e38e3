import type { StepType } from './definition.ts';
import type { HumanField } from './field-values.ts';
import type { ErrorCode } from './error-codes.ts';
import type { RunEvent } from './events.ts';
import type { ValueRef } from './shared-state.ts';

/** What a run, its tasks and its gates are in, from the workflow to the wire. */

export type RunStatus = 'pending' | 'running' | 'waiting_human' | 'completed' | 'failed' | 'cancelled';
export type Phase = 'queued' | 'split_tasks' | 'infer_deps' | 'assign_agents' | 'execute' | 'finalize' | 'done';
/** `code`: a step of an orchestration that needs neither. */
export type TaskKind = 'ai' | 'human' | 'code';
export type TaskStatus = 'pending' | 'running' | 'waiting_human' | 'completed' | 'failed' | 'skipped' | 'cancelled';
export type GateKind = 'context' | 'human_task' | 'approval' | 'tool_approval' | 'escalation' | 'budget' | 'human_step';
export type Decision = 'approve' | 'edit' | 'reject' | 'retry';
/** `expired`: nobody answered in time, and the gate's policy decided. `closed`: the run ended, or its task is done again or left out. */
export type GateStatus = 'open' | 'answered' | 'expired' | 'closed';

/** Of a task, or a run, that nothing happens to any more. */
export function hasEnded(status: TaskStatus | RunStatus): boolean {
  return status === 'completed' || status === 'failed' || status === 'skipped' || status === 'cancelled';
}

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
  evaluation: { passed: boolean; score: number | null; feedback: string } | null;
  error: string | null;
  gate: GateState | null;
  step?: StepMark;
  /** How often it was begun anew because a person wanted it. */
  round?: number;
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
  /** The number of the newest that was told, or was left out, and of those that are left out from then on. */
  reminders: number;
  /** How many were told; missing before the first, and of workers that did not count them. */
  reminded?: number;
  /** When it was due and the world was told. */
  overdue_at: string | null;
  /** What a person fills in at a human step. */
  fields?: HumanField[];
  /** Of a question about the budget: what the run would have used with the call that could not be made. */
  asked?: Spending;
};

/** What a run uses, in all. */
export type Spending = { tokens: number; cost_usd: number };

/** A call of a tool that an agent asks for: which one of its answer, from 1, and how its arguments begin. */
export type ToolRequest = {
  answer_id: string;
  position: number;
  tool: string;
  preview: string;
  /** A person must approve it first: the text of its arguments. */
  arguments_id?: string;
};

/** A model call that was refused for good, and why, in a sentence for readers. */
export type Refused = { refused: string };

export type RunState = {
  run_id: string;
  status: RunStatus;
  phase: Phase;
  tasks: TaskState[];
  warnings: string[];
  error: string | null;
  /** Why it failed, as a word that programs read; missing where there is none. */
  error_code?: ErrorCode;
  final_output_id: string | null;
  /** Of an orchestration. */
  shared_state?: Record<string, ValueRef>;
  /** The number of the last thing that people have done to its tasks. */
  steered?: number;
};

/** What an agent task is about: how often its evaluation failed, what it is to do better, and what is wrong now. */
export type TaskProgress = {
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

/** Of a task that is one execution of a step. */
export type StepMark = {
  step_id: string;
  type: StepType;
  /** Which execution it is, the same whenever the run goes this way again. */
  path: string;
  output_key: string | null;
  /** What it wrote, and where its line goes on, when it is completed. */
  writes: Record<string, ValueRef>;
  next: string | null;
  /** How far its agent is, while it is at work. */
  loop?: StepLoop;
};

/** `worked_ms` is what its turns took so far. */
export type StepLoop = AgentLoop & { worked_ms: number };

/**
 * What changed in a run since the last time it was written to Postgres. It rides inside the activity that follows a
 * change, or goes by itself. Writing it again, or after a newer one, changes nothing: `version` rises with every one.
 */
export type Progress = {
  version: number;
  /** Workflow time, in milliseconds since 1970. */
  at: number;
  run: Pick<
    RunState,
    'status' | 'phase' | 'warnings' | 'error' | 'error_code' | 'final_output_id' | 'shared_state' | 'steered'
  >;
  tasks: (Omit<TaskState, 'gate'> & { position: number })[];
  gates: GateState[];
  events: RunEvent[];
};

/**
 * Versions are those of the length of the history. A workflow task that is lost with its worker has written to Postgres all
 * the same, and when it is made again more may have happened than at the first time. What it writes then must count as
 * newer: the history is longer by then.
 */
export const versionsPerWorkflowTask = 1_000;
