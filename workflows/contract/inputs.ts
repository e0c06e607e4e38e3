import type { Outline } from './definition.ts';
import type { GatePolicy, TaskAnswer } from './gate-rules.ts';
import type { ValueRef } from './shared-state.ts';
import type { RunState, TaskKind, TaskProgress, TaskState } from './states.ts';

/** What workflows are started with, and what they take along when they continue as new. */

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

/** What an orchestration is started with. Prompts and code stay in Postgres, under the hash of the definition. */
export type OrchestrationInput = {
  run_id: string;
  has_webhook: boolean;
  definition_hash: string;
  definition: Outline;
  /** What the state begins with. */
  shared_state: Record<string, ValueRef>;
  on_budget?: 'gate' | 'fail';
  /** 1, and one more each time that the run is tried again. */
  attempt: number;
  history_limit?: number;
  /** What was done before: the run is tried again, or continues as new. */
  carried?: Carried;
  /** Given when it continues as new. */
  spent?: Spent;
};

/** What an orchestration has used of what bounds it as a whole. */
export type Spent = { turns: number; milliseconds: number };

/** All that is to be known of any run that is at rest. */
export type Carried = {
  state: RunState;
  /** Of gates that open later. */
  answers: [gate_id: string, TaskAnswer][];
  openings: [task_id: string, number][];
  webhooks: number;
  version: number;
};

/** The same of a run of a goal, with what only such a run has. */
export type CarriedRun = Carried & {
  planned: PlannedTask[];
  works: [task_id: string, TaskProgress][];
  final_work: FinalWork;
};

/** How often the final output was tried, and what people have said to it meanwhile. */
export type FinalWork = { attempt: number; remarks: string[] };

export type RunResult = { status: 'completed' | 'failed'; final_output_id: string | null; error: string | null };

export type PlannedTask = {
  id: string;
  title: string;
  kind: TaskKind;
  /**
   * `start`: asks for context before the agents begin. Gates that no planned task answers to: `guard` stands before the
   * tasks in `guards`, `end` after all.
   */
  place: 'start' | 'planned' | 'guard' | 'end';
  /** The tasks that must wait for this one. */
  guards?: string[];
  /** The agent that the plan names. */
  agent: string | null;
  /** The entry of the run's `human_gates` that this task answers to; of several the first. */
  human_gate?: number;
  /** All of them. Plans of 0.1.0 lack it. */
  human_gates?: number[];
  /** The strictest terms of several. */
  gate_policy?: GatePolicy;
};

export type TakenTask = PlannedTask &
  Pick<TaskState, 'model' | 'depends_on' | 'output_id'> & {
    /** Completed in the other run, with `output_id` when it has an output. */
    is_reused: boolean;
  };

/** One event for a webhook. */
export type WebhookDelivery = RunDelivery | StoredDelivery;

/** Of a run, and written down at its first attempt. `sequence` tells the events of a run apart. */
export type RunDelivery = {
  run_id: string;
  sequence: number | string;
  event: string;
  waiting_tasks: string[];
  /** Given: to the escalation webhook of this entry of `human_gates`, or of the run when null. */
  escalates?: { human_gate: number | null };
  /** Counts how often a person has sent it again: the delivery is there, with its body. */
  redelivery?: number;
};

/** Of an account alone: the delivery stands in Postgres with its body. `redelivery` counts how often it was sent again. */
export type StoredDelivery = { delivery_id: string; event: string; redelivery: number };
