import { Context, type ApplicationFailure } from '@temporalio/activity';
import { findLlmCall, insertLlmCall, type JournalledCall } from '../db/llm-calls.ts';
import type { RequestedCall, RunAgent } from '../db/schema.ts';
import type { Work } from '../db/work.ts';
import {
  callModel,
  costUsd,
  LlmError,
  successorOf,
  type ModelAnswer,
  type ModelRequest,
  type ToolCall,
} from '../src/llm/index.ts';
import { keep } from './at-work.ts';
import { release, reserve, warnOfSpending, type BudgetOfRun } from './budget.ts';
import type { ActivityDeps } from './deps.ts';
import { refusalOf, refusedByAll } from './failures.ts';
import { cut } from './prompts/blocks.ts';
import {
  candidatesOf,
  failoverWarnings,
  findModel,
  holdBack,
  putOffWhileBlocked,
  type Candidate,
  type Model,
} from './providers.ts';
import type { OfferedTool } from './tools.ts';

/** Longer answers are cut: a model that rambles must not fill the database. In characters. */
const maxAnswerLength = 256 * 1024;

/** Which call of a run it is. */
export type CallKey = {
  run_id: string;
  task_id: string | null;
  purpose:
    'split_tasks' | 'infer_deps' | 'execute_task' | 'evaluate_task' | 'finalize_run' | 'run_step' | 'choose_route';
  attempt: number;
};

/** A call of a model: what is asked, who may answer, who pays, and where the answer is kept. */
export type Call = {
  request: Omit<ModelRequest, 'idempotency_key' | 'tools'>;
  /** The tools that the model may call. */
  offered?: OfferedTool[];
  /** Whose providers are asked. */
  account_id: string;
  candidates: Candidate[];
  budget: BudgetOfRun;
  key: CallKey;
  /** As they were when the work was loaded, so that a call need not look for them. */
  known: Pick<Work, 'paid_calls' | 'cooldowns'>;
};

/** `warnings` say that it came from another provider than the wanted one, or without some of the tools. */
export type Answer = JournalledCall & { warnings: string[] };

/** A call that a run makes and pays for: of its agent's model, or of its own for planning and finalizing. */
export function callOf(
  work: Work,
  { agent, ...key }: Omit<CallKey, 'run_id'> & { agent?: RunAgent },
  request: Call['request'],
): Call {
  const { run } = work;
  const { run_id, account_id } = run;
  return {
    request,
    account_id,
    candidates: candidatesOf(run, agent),
    budget: run,
    key: { run_id, ...key },
    known: work,
  };
}

/** The journal key of a call. `ask` counts, from 1, what is asked again with a fault named, and the turns of an agent. */
export function callIdOf({ run_id, task_id, purpose, attempt }: CallKey, ask: number): string {
  return [run_id, task_id, purpose, attempt, ask].filter((part) => part !== null).join('/');
}

/**
 * Asks a model, and pays once: the journal is looked up before the call and written before anything else after it.
 * Cancellation closes the provider's connection. Failures leave as `ApplicationFailure`s typed as in `LlmErrorType`.
 */
export async function askModel(deps: ActivityDeps, call: Call, ask = 1): Promise<Answer> {
  const { key, known, candidates } = call;
  const call_id = callIdOf(key, ask);
  // What the work was loaded with may be old by the second ask: another worker may have taken this over meanwhile.
  const paid = ask > 1 || known.paid_calls.has(call_id) ? await findLlmCall(deps.db, call_id) : undefined;
  if (paid) return { ...paid, warnings: failoverWarnings(candidates, paid) };

  const refusals: ApplicationFailure[] = [];
  for (const candidate of candidates) {
    try {
      const answer = await askCandidate(deps, call, call_id, candidate);
      return { ...answer, warnings: [...failoverWarnings(candidates, answer), ...answer.warnings] };
    } catch (error) {
      refusals.push(refusalOf(error));
    }
  }
  throw refusedByAll(refusals);
}

/**
 * Finds the model, reserves what it may cost, calls it, and journals what it answered. Where a default model was switched
 * off, its successor answers, and a warning says so.
 */
async function askCandidate(deps: ActivityDeps, call: Call, call_id: string, candidate: Candidate): Promise<Answer> {
  const { account_id, budget, known, offered } = call;
  const tools = offered && { tools: offered.map(({ definition }) => definition) };
  const model = await findModel(deps, account_id, candidate);
  // One key, one body.
  const idempotency_key = candidate.model ? `${call_id}/${candidate.model}` : call_id;
  const request = { ...call.request, ...tools, idempotency_key };
  putOffWhileBlocked(model, known.cooldowns);
  const isReserved = await reserve(deps, budget, call_id, model.target, request);
  try {
    const answer = await callModel(model.target, request, {
      signal: Context.current().cancellationSignal,
      fetch: deps.fetch,
      timeout_ms: deps.llm_timeout_ms,
      // Readers see texts while they are written; JSON is for us.
      on_delta: request.schema ? undefined : deps.live.answer(call.key),
    });
    const journalled = await journal(deps, call, call_id, model, answer);
    if (isReserved) await warnOfSpending(deps, budget);
    return { ...journalled, warnings: leftOut(answer, offered) };
  } catch (error) {
    await holdBack(deps, model, error);
    if (isReserved) await release(deps, call_id);
    const { model: name } = model.target;
    const successor = error instanceof LlmError && error.type === 'LlmModelNotFound' ? successorOf(name) : undefined;
    if (successor === undefined) throw error;
    const answer = await askCandidate(deps, call, call_id, { ...candidate, model: successor });
    const warning = `${name} is not served any more; ${successor} answers in its place.`;
    return { ...answer, warnings: [warning, ...answer.warnings] };
  }
}

/** What settles the reservation is the same statement. */
function journal(
  { db }: ActivityDeps,
  { key, offered }: Call,
  call_id: string,
  { provider_id, target }: Model,
  answer: ModelAnswer,
): Promise<JournalledCall> {
  const { run_id, task_id, purpose } = key;
  const { vendor, model } = target;
  const { input_tokens, output_tokens, finish } = answer;
  const row = {
    call_id,
    run_id,
    task_id,
    purpose,
    vendor,
    model,
    provider_id,
    finish: answer.text.length > maxAnswerLength ? ('length' as const) : finish,
    input_tokens,
    output_tokens,
    cost_usd: costUsd({ vendor, model, input_tokens, output_tokens }) ?? null,
    tool_calls: offered && JSON.stringify(requested(answer.tool_calls, offered)),
  };
  // Postgres stores no NUL.
  const text = cut(answer.text, maxAnswerLength).replaceAll('\u0000', '');
  return keep(() => insertLlmCall(db, row, text));
}

function requested(calls: ToolCall[] = [], offered: OfferedTool[]): RequestedCall[] {
  return calls.map((call) => {
    const tool = offered.find(({ definition }) => definition.name === call.name);
    return { ...call, tool: tool?.name ?? null, require_approval: tool?.require_approval ?? false };
  });
}

function leftOut({ left_out = [] }: ModelAnswer, offered: OfferedTool[] = []): string[] {
  return left_out.map(({ name, reason }) => {
    const tool = offered.find(({ definition }) => definition.name === name);
    return `The tool ${tool?.name ?? name} was left out, as the model cannot be told of it: ${reason.slice(0, 300).toWellFormed()}`;
  });
}

/** What a reader should know of an answer. */
export function warningsOf(answer: Answer, what: string): string[] {
  return [
    ...answer.warnings,
    ...(answer.finish === 'length' ? [`The text of ${what} was cut at the model's length limit.`] : []),
    ...(answer.cost_usd === null ? [`The price of ${answer.model} is not known; its cost is not in cost_usd.`] : []),
  ];
}
