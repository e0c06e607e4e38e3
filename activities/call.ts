import type { ApplicationFailure } from '@temporalio/activity';
import type { Along, JournalledCall } from '../db/llm-calls.ts';
import type { Mode, RunAgent } from '../db/schema.ts';
import type { Known, Work } from '../db/work.ts';
import type { ModelRequest } from '../src/llm/index.ts';
import { cutAtLimit } from '../workflows/contract/warnings.ts';
import type { RunStatus } from '../workflows/contract/states.ts';
import type { BudgetOfRun } from './budget.ts';
import { candidatesOf, type Candidate } from './providers.ts';
import type { OfferedTool } from './tools.ts';

/** Which call of a run it is. */
export type CallKey = {
  run_id: string;
  task_id: string | null;
  purpose:
    | 'split_tasks'
    | 'infer_deps'
    | 'execute_task'
    | 'evaluate_task'
    | 'finalize_run'
    | 'run_step'
    | 'choose_route'
    | 'run_agent'
    | 'shape_output';
  attempt: number;
  /** Asked once more, since thoughts had taken all tokens. */
  has_more_tokens?: boolean;
};

/** A call of a model: what is asked, who may answer, who pays, and where the answer is kept. */
export type Call = {
  request: Omit<ModelRequest, 'idempotency_key' | 'tools'>;
  /** The tools that the model may call. */
  offered?: OfferedTool[];
  /** Whose providers are asked. */
  account_id: string;
  mode: Mode;
  candidates: Candidate[];
  key: CallKey;
  /** Which run pays for it; it is not asked after the deadline of that. */
  run: BudgetOfRun & Pick<Work['run'], 'agent_run' | 'attempt'>;
  /** What is written with an answer that calls no tools, in the moment in which it is journalled. */
  alongOf?: (answer: Answer) => Along;
  /** Why the wanted provider has not taken it. */
  refused?: ApplicationFailure;
  /** As they were when the work was loaded, so that a call need not look for them, and the room that it has. */
  known: Pick<Work, 'paid_calls' | 'cooldowns' | 'providers' | 'room'>;
  /** Another call follows an answer: what may have changed in the run by then is read along with the journal, as its `known`. */
  goes_on?: boolean;
};

/**
 * `warnings` say that it came from another provider than the wanted one, or without some of the tools. `status` is that of a
 * run that was to be completed along with it, and `known` what was known of the run of a call that `goes_on`.
 */
export type Answer = JournalledCall & { warnings: string[]; status?: RunStatus | null; known?: Known };

/** A call that a run makes and pays for: of its agent's model, or of its own for planning and finalizing. */
export function callOf(
  work: Work,
  { agent, ...key }: Omit<CallKey, 'run_id'> & { agent?: RunAgent },
  request: Call['request'],
): Call {
  const { run } = work;
  const { run_id, account_id, mode } = run;
  return {
    request,
    account_id,
    mode,
    candidates: candidatesOf(run, agent),
    run,
    key: { run_id, ...key },
    known: work,
  };
}

/** The journal key of a call. `ask` counts, from 1, what is asked again with a fault named, and the turns of an agent. */
export function callIdOf({ run_id, task_id, purpose, attempt, has_more_tokens }: CallKey, ask: number): string {
  const parts = [run_id, task_id, purpose, attempt, ask, has_more_tokens ? 'more_tokens' : null];
  return parts.filter((part) => part !== null).join('/');
}

/** What a reader should know of an answer. A cut one that calls tools is no text that stands. */
export function warningsOf(answer: Answer, what: string): string[] {
  return [
    ...answer.warnings,
    ...(answer.finish === 'length' && !answer.tool_calls?.length ? [cutAtLimit(what)] : []),
    ...(answer.cost_usd === null ? [`The price of ${answer.model} is not known; its cost is not in cost_usd.`] : []),
  ];
}
