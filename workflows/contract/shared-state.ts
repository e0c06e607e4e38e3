import type { Outline, StepType } from './definition.ts';
import type { AgentLoop, Carried } from '../messages.ts';

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

/** Where a value of the shared state is: a text as it stands, a text that is JSON, or, when it is short, right here. */
export type ValueRef = { text: string } | { json: string } | { value: string | number | boolean | null };

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
