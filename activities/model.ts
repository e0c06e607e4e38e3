import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure, Context } from '@temporalio/activity';
import { z } from 'zod';
import { isUnavailable } from '../db/index.ts';
import { findLlmCall, insertLlmCall, type JournalledCall } from '../db/llm-calls.ts';
import { saveProgress } from '../db/progress.ts';
import { findUsableProvider } from '../db/providers.ts';
import { isFinished } from '../db/runs.ts';
import type { Provider, Run, RunAgent } from '../db/schema.ts';
import { loadWork, type Work } from '../db/work.ts';
import { decrypt, OtherKeyError, providerKeyContext, type KeyRing } from '../src/crypto.ts';
import {
  callModel,
  costUsd,
  LlmError,
  parseJsonAnswer,
  vendorOfModel,
  type LlmErrorType,
  type ModelRequest,
  type ModelTarget,
} from '../src/llm/index.ts';
import type { Progress } from '../workflows/messages.ts';
import { withinBudget } from './budget.ts';
import type { ActivityDeps } from './deps.ts';
import { cut } from './prompts/blocks.ts';

/** Longer answers are cut: a model that rambles must not fill the database. In characters. */
const maxAnswerLength = 256 * 1024;
const heartbeatInterval = 1_500;
const maxAsks = 3;

/** Failures that cost money each time: after this many attempts a person decides. */
const paidFailures: LlmErrorType[] = ['LlmBadResponse', 'LlmTruncatedStream', 'LlmTimeout'];
const maxPaidAttempts = 4;

export type Call = {
  work: Work;
  /** Undefined for planning and finalizing, which use the run's own model. */
  agent?: RunAgent;
  task_id: string | null;
  purpose: 'split_tasks' | 'infer_deps' | 'execute_task' | 'evaluate_task' | 'finalize_run';
  attempt: number;
  request: Omit<ModelRequest, 'idempotency_key'>;
};

/**
 * Asks a model, and pays once: the journal is looked up before the call and written before anything else after it.
 * Cancellation closes the provider's connection. Failures leave as `ApplicationFailure`s typed as in `LlmErrorType`.
 */
export async function askModel(deps: ActivityDeps, call: Call, ask = 1): Promise<JournalledCall> {
  const { work, task_id, purpose } = call;
  const { run } = work;
  const call_id = [run.run_id, task_id, purpose, call.attempt, ask].filter((part) => part !== null).join('/');
  // What the work was loaded with may be old by the second ask: another worker may have taken this over meanwhile.
  const paid = ask > 1 || work.paid_calls.has(call_id) ? await findLlmCall(deps.db, call_id) : undefined;
  if (paid) return paid;

  const { provider_id, target } = await findModel(deps, run, call.agent);
  return withinBudget(deps, run, { call_id, target, request: call.request }, async () => {
    const { run_id } = run;
    const answer = await callModel(
      target,
      { ...call.request, idempotency_key: call_id },
      {
        signal: Context.current().cancellationSignal,
        fetch: deps.fetch,
        timeout_ms: deps.llm_timeout_ms,
        // Readers see texts while they are written; JSON is for us.
        on_delta: call.request.schema ? undefined : deps.live.answer({ run_id, task_id, attempt: call.attempt }),
      },
    ).catch(throwAsFailure);
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
    };
    // Postgres stores no NUL.
    const text = cut(answer.text, maxAnswerLength).replaceAll('\u0000', '');
    return keep(() => insertLlmCall(deps.db, row, text));
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
): Promise<{ value: z.infer<S>; call_id: string } | undefined> {
  const request = { ...call.request, schema: { name: call.purpose, json_schema: wireSchema(schema) } };
  let fault: string | undefined;
  for (let ask = 1; ask <= maxAsks; ask += 1) {
    const again = fault && `\n\nYour last answer cannot be used: ${fault} Answer again, with JSON only.`;
    const prompt = request.prompt + (again ?? '');
    const { text, finish, call_id } = await askModel(deps, { ...call, request: { ...request, prompt } }, ask);
    const parsed = parse(schema, text);
    if ('fault' in parsed) fault = finish === 'length' ? 'it was cut off because it is too long.' : parsed.fault;
    else {
      fault = faultOf(parsed.value);
      if (!fault) return { value: parsed.value, call_id };
    }
  }
  return undefined;
}

/**
 * An activity at work: loads what it works from, writes the progress that rides with it beside the work itself, and
 * heartbeats, which keeps the activity alive for the server and brings the cancellation.
 */
export async function atWork<T>(
  { db, live }: ActivityDeps,
  input: { run_id: string; progress?: Progress },
  text_ids: (string | null)[],
  doIt: (work: Work) => Promise<T>,
): Promise<T> {
  const context = Context.current();
  const timer = setInterval(() => context.heartbeat(), heartbeatInterval);
  const ids = text_ids.filter((id) => id !== null);
  try {
    const [result] = await Promise.all([
      loadWork(db, input.run_id, ids).then(async (work) => {
        // Cancelled for its readers: Temporal's request is on its way here, and nothing more may be paid for.
        if (isFinished(work.run.status)) await context.cancelled;
        return doIt(work);
      }),
      input.progress && saveProgress(db, input.run_id, input.progress).then(() => live.changed(input.run_id)),
    ]);
    return result;
  } finally {
    clearInterval(timer);
  }
}

function parse<S extends z.ZodType>(schema: S, text: string): { value: z.infer<S> } | { fault: string } {
  try {
    const result = schema.safeParse(parseJsonAnswer(text));
    return result.success ? { value: result.data } : { fault: z.prettifyError(result.error).slice(0, 1_000) };
  } catch (error) {
    return { fault: (error as Error).message };
  }
}

/** The subset of JSON Schema that every vendor takes; the rest is checked by zod. */
function wireSchema(schema: z.ZodType): Record<string, unknown> {
  const { $schema: _, ...json_schema } = z.toJSONSchema(schema, {
    override: ({ jsonSchema }) => {
      for (const limit of ['minLength', 'maxLength', 'minItems', 'maxItems', 'minimum', 'maximum'] as const) {
        delete jsonSchema[limit];
      }
    },
  });
  return json_schema;
}

async function findModel(
  { db, encryptionKey, managed }: ActivityDeps,
  run: Run,
  agent?: RunAgent,
): Promise<{ provider_id: string | null; target: ModelTarget }> {
  const wanted = agent?.provider_id ?? run.provider_id;
  if (!wanted) {
    const vendor = agent?.model ? vendorOfModel(agent.model) : undefined;
    const target = managed.find((candidate) => candidate.vendor === vendor) ?? managed[0];
    if (!target)
      throw ApplicationFailure.nonRetryable('This server has no managed model any more.', 'ProviderInactive');
    return { provider_id: null, target: { ...target, model: agent?.model ?? target.model } };
  }
  const provider = await findUsableProvider(db, run.account_id, wanted);
  if (!provider) {
    throw ApplicationFailure.nonRetryable(
      `Provider ${wanted} is not active. Register another of its kind.`,
      'ProviderInactive',
    );
  }
  const { provider_id, base_url } = provider;
  const api_key = readKey(provider, encryptionKey);
  const model = agent?.model ?? provider.model;
  return { provider_id, target: { vendor: provider.provider, model, api_key, base_url: base_url ?? undefined } };
}

function readKey({ account_id, provider_id, api_key_encrypted }: Provider, encryptionKey: KeyRing): string | undefined {
  if (!api_key_encrypted) return undefined;
  try {
    return decrypt(api_key_encrypted, encryptionKey, providerKeyContext(account_id, provider_id));
  } catch (error) {
    // Tried again: a worker with the right ENCRYPTION_KEY may take it.
    if (error instanceof OtherKeyError) throw error;
    const reason = `The stored key of provider ${provider_id} cannot be read. Register it again and deactivate this one.`;
    throw ApplicationFailure.nonRetryable(reason, 'ProviderKeyUnreadable');
  }
}

/** An answer is paid for: while Postgres is away it is held here, not thrown away. */
async function keep<T>(write: () => Promise<T>): Promise<T> {
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

function throwAsFailure(error: unknown): never {
  if (!(error instanceof LlmError)) throw error;
  const spent = paidFailures.includes(error.type) && Context.current().info.attempt >= maxPaidAttempts;
  throw ApplicationFailure.create({
    type: error.type,
    message: error.message,
    nonRetryable: !error.retryable || spent,
    // Spread out, so that calls that were held back together do not come back together.
    nextRetryDelay: error.retry_after_ms && error.retry_after_ms * (1 + Math.random() / 10),
  });
}
