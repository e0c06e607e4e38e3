import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure, Context } from '@temporalio/activity';
import { z } from 'zod';
import { isUnavailable } from '../db/index.ts';
import { findLlmCall, insertLlmCall, type JournalledCall } from '../db/llm-calls.ts';
import { isFinished } from '../db/runs.ts';
import type { RequestedCall, RunAgent } from '../db/schema.ts';
import { loadWork, type Work } from '../db/work.ts';
import {
  callModel,
  costUsd,
  LlmError,
  parseJsonAnswer,
  type LlmErrorType,
  type ModelRequest,
  type ToolCall,
  type ToolDefinition,
} from '../src/llm/index.ts';
import type { AgentTool } from '../workflows/contract/definition.ts';
import type { Progress } from '../workflows/contract/states.ts';
import { withinBudget } from './budget.ts';
import type { ActivityDeps } from './deps.ts';
import { cut } from './prompts/blocks.ts';
import { failoverWarnings, holdBack, retryDelay, withProvider, type Model } from './providers.ts';

/** Longer answers are cut: a model that rambles must not fill the database. In characters. */
const maxAnswerLength = 256 * 1024;
const heartbeatInterval = 1_500;
const maxAsks = 3;

/** Failures that cost money each time: after this many a person decides. */
const paidFailures: LlmErrorType[] = ['LlmBadResponse', 'LlmTruncatedStream', 'LlmTimeout'];
const maxPaidFailures = 4;

export type Call = {
  work: Work;
  /** Undefined for planning and finalizing, which use the run's own model. */
  agent?: RunAgent;
  task_id: string | null;
  purpose:
    'split_tasks' | 'infer_deps' | 'execute_task' | 'evaluate_task' | 'finalize_run' | 'run_step' | 'choose_route';
  attempt: number;
  request: Omit<ModelRequest, 'idempotency_key' | 'tools'>;
  /** The tools that it may call. */
  offered?: OfferedTool[];
};

/** `warnings` say that it came from another provider than the wanted one. */
export type Answer = JournalledCall & { warnings: string[] };

/** A tool as it is offered to a model: under the name that all vendors take. */
export type OfferedTool = AgentTool & { definition: ToolDefinition };

/** The journal key of a call. `ask` counts, from 1, what is asked again with a fault named, and the turns of an agent. */
export function callIdOf({ work, task_id, purpose, attempt }: Call, ask: number): string {
  return [work.run.run_id, task_id, purpose, attempt, ask].filter((part) => part !== null).join('/');
}

/**
 * Asks a model, and pays once: the journal is looked up before the call and written before anything else after it.
 * Cancellation closes the provider's connection. Failures leave as `ApplicationFailure`s typed as in `LlmErrorType`.
 */
export async function askModel(deps: ActivityDeps, call: Call, ask = 1): Promise<Answer> {
  const { work, agent } = call;
  const { run } = work;
  const call_id = callIdOf(call, ask);
  // What the work was loaded with may be old by the second ask: another worker may have taken this over meanwhile.
  const paid = ask > 1 || work.paid_calls.has(call_id) ? await findLlmCall(deps.db, call_id) : undefined;
  const answer = paid ?? (await withProvider(deps, work, agent, (model) => makeCall(deps, call, call_id, model)));
  return { ...answer, warnings: failoverWarnings(run, agent, answer) };
}

function makeCall(deps: ActivityDeps, call: Call, call_id: string, from: Model): Promise<JournalledCall> {
  const { provider_id, target } = from;
  const { task_id, purpose, offered } = call;
  const { run } = call.work;
  const request = { ...call.request, ...(offered && { tools: offered.map(({ definition }) => definition) }) };
  return withinBudget(deps, run, { call_id, target, request }, async () => {
    const { run_id } = run;
    const answer = await callModel(
      target,
      { ...request, idempotency_key: call_id },
      {
        signal: Context.current().cancellationSignal,
        fetch: deps.fetch,
        timeout_ms: deps.llm_timeout_ms,
        // Readers see texts while they are written; JSON is for us.
        on_delta: request.schema ? undefined : deps.live.answer({ run_id, task_id, attempt: call.attempt }),
      },
    ).catch(async (error) => {
      await holdBack(deps, from, error);
      throwAsFailure(error);
    });
    const { input_tokens, output_tokens, finish } = answer;
    const { vendor, model } = target;
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
    return keep(() => insertLlmCall(deps.db, row, text));
  });
}

function requested(calls: ToolCall[] = [], offered: OfferedTool[]): RequestedCall[] {
  return calls.map((call) => {
    const tool = offered.find(({ definition }) => definition.name === call.name);
    return { ...call, tool: tool?.name ?? null, require_approval: tool?.require_approval ?? false };
  });
}

/**
 * Asks for JSON of this shape. An answer that does not parse, or in which `faultOf` finds a fault, is asked again with
 * the fault named, at most twice. Returns undefined when no answer was valid.
 */
export async function askForJson<S extends z.ZodType>(
  deps: ActivityDeps,
  call: Call,
  schema: S,
  faultOf: (value: z.infer<S>) => string | undefined = () => undefined,
): Promise<{ value: z.infer<S>; call_id: string; warnings: string[] } | undefined> {
  const request = { ...call.request, schema: { name: call.purpose, json_schema: wireSchema(schema) } };
  let fault: string | undefined;
  for (let ask = 1; ask <= maxAsks; ask += 1) {
    const again = fault && `\n\nYour last answer cannot be used: ${fault} Answer again, with JSON only.`;
    const prompt = request.prompt + (again ?? '');
    const { text, finish, call_id, warnings } = await askModel(deps, { ...call, request: { ...request, prompt } }, ask);
    const parsed = parse(schema, text);
    if ('fault' in parsed) fault = finish === 'length' ? 'it was cut off because it is too long.' : parsed.fault;
    else {
      fault = faultOf(parsed.value);
      if (!fault) return { value: parsed.value, call_id, warnings };
    }
  }
  return undefined;
}

/**
 * An activity at work: writes the progress that rides with it, loads what it works from, and heartbeats, which keeps the
 * activity alive for the server and brings the cancellation.
 */
export async function atWork<T>(
  { db, live }: ActivityDeps,
  input: { run_id: string; progress?: Progress },
  text_ids: (string | null)[],
  doIt: (work: Work) => Promise<T>,
): Promise<T> {
  const context = Context.current();
  const timer = setInterval(() => context.heartbeat(paidFailuresBefore()), heartbeatInterval);
  const ids = text_ids.filter((id) => id !== null);
  try {
    const work = await loadWork(db, input.run_id, ids, input.progress);
    if (input.progress) live.changed(input.run_id);
    // Cancelled for its readers: Temporal's request is on its way here, and nothing more may be paid for.
    // Completed, it is by an attempt of this activity that could not report it.
    if (isFinished(work.run.status) && work.run.status !== 'completed') await context.cancelled;
    return await doIt(work);
  } finally {
    clearInterval(timer);
  }
}

/** What a reader should know of an answer. */
export function warningsOf(answer: Answer, what: string): string[] {
  return [
    ...answer.warnings,
    ...(answer.finish === 'length' ? [`The text of ${what} was cut at the model's length limit.`] : []),
    ...(answer.cost_usd === null ? [`The price of ${answer.model} is not known; its cost is not in cost_usd.`] : []),
  ];
}

function parse<S extends z.ZodType>(schema: S, text: string): { value: z.infer<S> } | { fault: string } {
  try {
    const result = schema.safeParse(parseJsonAnswer(text));
    return result.success ? { value: result.data } : { fault: z.prettifyError(result.error).slice(0, 1_000) };
  } catch (error) {
    return { fault: (error as Error).message };
  }
}

const wireSchemas = new WeakMap<z.ZodType, Record<string, unknown>>();

/** The subset of JSON Schema that every vendor takes; the rest is checked by zod. */
function wireSchema(schema: z.ZodType): Record<string, unknown> {
  const known = wireSchemas.get(schema);
  if (known) return known;
  const { $schema: _, ...json_schema } = z.toJSONSchema(schema, {
    override: ({ jsonSchema }) => {
      for (const limit of ['minLength', 'maxLength', 'minItems', 'maxItems', 'minimum', 'maximum'] as const) {
        delete jsonSchema[limit];
      }
    },
  });
  wireSchemas.set(schema, json_schema);
  return json_schema;
}

/** What was paid for, or done, is held here while Postgres is away, and not thrown away. */
export async function keep<T>(write: () => Promise<T>): Promise<T> {
  const { cancellationSignal } = Context.current();
  for (let delay = 100; ; delay = Math.min(delay * 2, 5_000)) {
    try {
      return await write();
    } catch (error) {
      if (cancellationSignal.aborted || !isUnavailable(error)) throw error;
      await sleep(delay, undefined, { signal: cancellationSignal });
    }
  }
}

/** A retry finds what was heartbeat last. Its number of attempts would count the waits as well. */
function paidFailuresBefore(): number {
  return Number(Context.current().info.heartbeatDetails ?? 0);
}

function throwAsFailure(error: unknown): never {
  if (!(error instanceof LlmError)) throw error;
  const { type, message, retry_after_ms } = error;
  const isPaid = paidFailures.includes(type);
  const failures = paidFailuresBefore() + (isPaid ? 1 : 0);
  Context.current().heartbeat(failures);
  const delay = retry_after_ms ?? (isPaid ? 1_000 * 2 ** (failures - 1) : undefined);
  const nonRetryable = !error.retryable || failures >= maxPaidFailures;
  throw ApplicationFailure.create({ type, message, nonRetryable, nextRetryDelay: delay && retryDelay(delay) });
}
