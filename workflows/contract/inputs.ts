import type { Outline } from './definition.ts';
import type { GatePolicy, TaskAnswer } from './gate-rules.ts';
import type { ValueRef } from './shared-state.ts';
import type { RunState, TaskKind, TaskProgress, TaskState } from './states.ts';

/** What workflows are started with, and what they take along when they continue as new. */

/** How long the gates of a run wait for people. */
export type RunPolicies = {
  /** Of every gate that has none of its own. */
  gate_policy?: GatePolicy;
  /** Of the tasks that answer to the run's `human_gates`, in their order. */
  human_gate_policies?: GatePolicy[];
  /** Of the human steps of an orchestration that have terms of their own, by step. */
  step_policies?: Record<string, GatePolicy>;
  /** Of tasks of a plan that answer to several gates, once the terms were changed: in place of what the plan says. */
  task_policies?: Record<string, GatePolicy>;
};

/** What a run is started with. The goal, prompts and URLs stay in Postgres; a run finds them by its id. */
export type RunInput = Omit<RunPolicies, 'step_policies' | 'task_policies'> & {
  run_id: string;
  agents: { name: string; model: string | null; require_approval?: boolean }[];
  require_approval: boolean;
  has_webhook: boolean;
  /** What happens when the limits that Postgres holds are reached; `gate` unless given. */
  on_budget?: 'gate' | 'fail';
  /** The run continues as new when its history has about so many events, as it counts them itself. */
  most_events?: number;
  /** In place of it, of runs of an earlier release: by Temporal's own count, or when Temporal suggests it. */
  history_limit?: number;
  /** What the run was when it continued as new, or failed. */
  carried?: CarriedRun;
  /** How many webhooks it has sent. Given when its workflow was lost, and this one takes its place. */
  webhooks?: number;
  /** Of a run that takes over the plan of another, and some of its outputs: nothing is planned then. */
  plan?: TakenTask[];
  /** 1 unless given, and one more each time that the run is tried again; then `carried` is what was done before. */
  attempt?: number;
};

/** What an orchestration is started with. Prompts and code stay in Postgres, under the hash of the definition. */
export type OrchestrationInput = Omit<RunPolicies, 'human_gate_policies' | 'task_policies'> & {
  run_id: string;
  has_webhook: boolean;
  definition_hash: string;
  definition: Outline;
  /** What the state begins with. */
  shared_state: Record<string, ValueRef>;
  on_budget?: 'gate' | 'fail';
  /** 1, and one more each time that the run is tried again. */
  attempt: number;
  most_events?: number;
  history_limit?: number;
  /** What was done before: the run is tried again, or continues as new. */
  carried?: Carried;
  /** How many webhooks it has sent. Given when its workflow was lost, and this one takes its place. */
  webhooks?: number;
  /** Given when it continues as new. */
  spent?: Spent;
  /** Given when it does another run again; then `carried` has what stands of that one. */
  rerun_from?: RerunFrom;
};

/** What the run of one agent is started with. Its prompt, its input and its schema stay in Postgres. */
export type AgentRunInput = Pick<RunPolicies, 'gate_policy'> & {
  run_id: string;
  agent: { name: string; model: string | null };
  require_approval: boolean;
  /** What the turns of its model may take for one output, together; or its code. */
  timeout_seconds: number;
  /** Given where code makes the output. `on_interrupted`: what happens when its worker was lost and it may not be run again. */
  code?: { on_interrupted: 'fail' | 'ask' };
  /** It fails then, in milliseconds since 1970, whatever it is at; missing where it may last. */
  deadline_at?: number;
  has_webhook: boolean;
  on_budget?: 'gate' | 'fail';
  /** 1, and one more each time that the run is tried again. */
  attempt: number;
  most_events?: number;
  history_limit?: number;
  /** What was done before: the run is tried again, or continues as new. */
  carried?: CarriedAgentRun;
  /** How many webhooks it has sent. Given when its workflow was lost, and this one takes its place. */
  webhooks?: number;
};

/** Where the run of an orchestration takes over from another one. Both are by the path of an execution of a step. */
export type RerunFrom = {
  /** The steps that are done anew where the other run had begun them. */
  steps: Record<string, string>;
  /** Values that the state has when a step begins, in place of those that it had. */
  edits: Record<string, Record<string, ValueRef>>;
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
  /** Missing when it is not held. */
  is_held?: true;
  /** Missing when they are those that it was started with. */
  terms?: RunPolicies & { n: number };
};

/** The same of a run of a goal, with what only such a run has. */
export type CarriedRun = Carried & {
  planned: PlannedTask[];
  works: [task_id: string, TaskProgress][];
  final_work: FinalWork;
};

/** The same of a run of one agent; `work` is missing when it had not begun. */
export type CarriedAgentRun = Carried & { work?: TaskProgress };

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

/** One event for a webhook that a run names. `sequence` tells the events of a run apart. */
export type RunDelivery = {
  run_id: string;
  sequence: number | string;
  event: string;
  waiting_tasks: string[];
  /** Given: to the escalation webhook of this entry of `human_gates`, or of the run when null. */
  escalates?: { human_gate: number | null };
  /** From processes of 0.1.0: how often a person has sent it again. The delivery is there, with its body. */
  redelivery?: number;
};
