import { Context, type ApplicationFailure } from '@temporalio/activity';
import { findLlmCall, insertLlmCall } from '../db/llm-calls.ts';
import type { RequestedCall } from '../db/schema.ts';
import {
  callModel,
  costUsd,
  LlmError,
  mostCalls,
  type LlmErrorType,
  type ModelAnswer,
  type ModelRequest,
  type ToolCall,
} from '../src/llm/index.ts';
import { keep, requireNotHeld } from './at-work.ts';
import { release, reserve, warnOfSpending } from './budget.ts';
import { callIdOf, type Answer, type Call } from './call.ts';
import { timeLeft } from './deadline.ts';
import type { ActivityDeps } from './deps.ts';
import { refusalOf, refusedByAll } from './failures.ts';
import { countBroken, reserveOfOperator } from './managed-budget.ts';
import { cut } from './prompts/blocks.ts';
import { failoverWarnings, findModel, holdBack, putOffWhileBlocked, type Candidate, type Model } from './providers.ts';
import { inRoom } from './room.ts';
import type { OfferedTool } from './tools.ts';

/** Longer answers are cut: a model that rambles must not fill the database. In characters. */
const maxAnswerLength = 256 * 1024;

/**
 * Asks a model, and pays once: the journal is looked up before the call and written before anything else after it.
 * Cancellation closes the provider's connection. Failures leave as `ApplicationFailure`s typed as in `LlmErrorType`.
 */
export async function askModel(deps: ActivityDeps, call: Call, ask = 1): Promise<Answer> {
  const { key, known, candidates } = call;
  const call_id = callIdOf(key, ask);
  const isLater = ask > 1 || Boolean(key.has_more_tokens);
  // What the work was loaded with may be old by the second ask: another worker may have taken this over meanwhile.
  const paid = isLater || known.paid_calls.has(call_id) ? await findLlmCall(deps.db, call_id) : undefined;
  if (paid) return { ...paid, warnings: failoverWarnings(candidates, paid) };
  const tools = call.offered?.map(({ definition }) => definition);
  return inRoom(known.room, { ...call.request, tools }, () => askCandidates(deps, call, call_id, isLater));
}

/** One after another, until one takes it. */
async function askCandidates(deps: ActivityDeps, call: Call, call_id: string, isLater: boolean): Promise<Answer> {
  const { key, candidates } = call;
  const refusals: ApplicationFailure[] = [];
  for (const candidate of candidates) {
    if (isLater || refusals.length > 0) await requireNotHeld(deps, key.run_id);
    try {
      const asked = { ...(isLater ? lookedUpAnew(call) : call), refused: refusals[0] };
      return await askUsefully(deps, asked, call_id, candidate);
    } catch (error) {
      refusals.push(refusalOf(error, call_id));
    }
  }
  throw refusedByAll(refusals);
}

/** What the model is told when what it said was paid for and is no answer. */
const faults: Partial<Record<LlmErrorType, string>> = {
  LlmEmptyAnswer: 'it was empty. Answer now, or call a tool that you were given.',
  LlmMalformedCall:
    'it called a tool in a form that cannot be read. Call one that you were given, with JSON, or answer.',
  LlmTooManyCalls: `it called too many tools at once. Call at most ${mostCalls}, or answer.`,
};

/**
 * Asks a candidate. When what it says is paid for and no answer, it is told why and asked once more: the same question
 * again would mostly be paid for in vain too. What was spent is journalled beside the answer.
 */
async function askUsefully(deps: ActivityDeps, call: Call, call_id: string, candidate: Candidate): Promise<Answer> {
  const { request, known } = call;
  const spent_id = `${call_id}/spent`;
  // A worker that died between the two has left it.
  const before = known.paid_calls.has(spent_id) ? await findLlmCall(deps.db, spent_id) : undefined;
  const answer = before
    ? { ...before, warnings: [] }
    : await askCandidate(deps, call, { call_id, spent_id }, candidate);
  if (answer.call_id !== spent_id) return answer;
  await requireNotHeld(deps, call.key.run_id);
  const system = `${request.system}\n\nYour last answer cannot be used: ${answer.text}`;
  return askCandidate(deps, { ...lookedUpAnew(call), request: { ...request, system } }, { call_id }, candidate);
}

/** With the providers as they are by then. */
function lookedUpAnew(call: Call): Call {
  return { ...call, known: { ...call.known, providers: [] } };
}

/** The journal keys of a call: of its answer, and of what is none and was paid for, where that may be asked again. */
type JournalKeys = { call_id: string; spent_id?: string };

/** Finds the model, and asks it within what the operator and the run may spend. */
async function askCandidate(deps: ActivityDeps, call: Call, keys: JournalKeys, candidate: Candidate): Promise<Answer> {
  const { account_id, known, offered, run } = call;
  const { call_id, spent_id } = keys;
  timeLeft(run);
  const tools = offered && { tools: offered.map(({ definition }) => definition) };
  // One key, one body: the second time it is another request.
  const request = { ...call.request, ...tools, idempotency_key: spent_id ? call_id : `${call_id}/again` };
  const model = await findModel(deps, account_id, candidate, known.providers);
  putOffWhileBlocked(model, known.cooldowns);
  const giveBack = await reserveOfOperator(deps, { run_id: call.key.run_id, call_id }, model, request);
  try {
    return await askWithinBudget(deps, call, keys, model, request);
  } finally {
    await giveBack();
  }
}

/**
 * Reserves what a call may cost, makes it, and journals what was answered. With a `spent_id`, what is no answer is journalled
 * under it, with the fault as its text.
 */
async function askWithinBudget(
  deps: ActivityDeps,
  call: Call,
  { call_id, spent_id }: JournalKeys,
  model: Model,
  request: ModelRequest,
): Promise<Answer> {
  const { run, offered } = call;
  const isReserved = await reserve(deps, run, call_id, model.target, request);
  const began = performance.now();
  try {
    const answer = await callModel(model.target, request, {
      signal: Context.current().cancellationSignal,
      fetch: model.provider_id ? deps.fetch : deps.operatorFetch,
      timeout_ms: deps.llm_timeout_ms,
      // Readers see texts while they are written; JSON is for us.
      on_delta: request.schema ? undefined : deps.live.answer(call.key),
      on_broken: (streamed_tokens) =>
        countBroken(deps, { run_id: call.key.run_id, call_id }, model, request, streamed_tokens),
    });
    const warnings = [...failoverWarnings(call.candidates, model, call.refused), ...leftOut(answer, offered)];
    const made = { ...answer, duration_ms: Math.round(performance.now() - began) };
    const journalled = await journal(deps, call, call_id, model, made, warnings);
    if (isReserved) await warnOfSpending(deps, run);
    return { ...journalled, warnings };
  } catch (error) {
    const duration_ms = Math.round(performance.now() - began);
    await holdBack(deps, model, error);
    const spent = error instanceof LlmError &&
      error.spent && { ...error.spent, text: faults[error.type] ?? error.message, duration_ms };
    const journalled = spent && (await journal(deps, call, spent_id ?? `${call_id}/spent_again`, model, spent));
    if (isReserved) await release(deps, call_id);
    if (!journalled || !spent_id) throw error;
    return { ...journalled, warnings: [] };
  }
}

/**
 * What settles the reservation is the same statement; so is what is written along with an answer that stands, of which there
 * are `warnings`.
 */
function journal(
  { db }: ActivityDeps,
  { key, offered, alongOf, goes_on }: Call,
  call_id: string,
  { provider_id, target }: Model,
  answer: ModelAnswer & { duration_ms: number },
  warnings?: string[],
): Promise<Omit<Answer, 'warnings'>> {
  const { run_id, task_id, purpose } = key;
  const { vendor, model } = target;
  const { input_tokens, output_tokens, finish, duration_ms } = answer;
  // Postgres stores no NUL.
  const text = cut(answer.text, maxAnswerLength).replaceAll('\u0000', '');
  const call = {
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
    tool_calls: offered ? requested(answer.tool_calls, offered) : null,
    duration_ms,
    text,
  };
  const stands = warnings && text.trim() && !answer.tool_calls?.length;
  const along = stands ? alongOf?.({ ...call, warnings }) : undefined;
  return keep(() => insertLlmCall(db, call, along, Boolean(stands && goes_on)));
}

function requested(calls: ToolCall[] = [], offered: OfferedTool[]): RequestedCall[] {
  return calls.map((call) => {
    const tool = offered.find(({ definition }) => definition.name === call.name);
    const { name = null, source, require_approval = false, is_withdrawn } = tool ?? {};
    return { ...call, tool: name, source, require_approval, is_withdrawn };
  });
}

function leftOut({ left_out = [] }: ModelAnswer, offered: OfferedTool[] = []): string[] {
  return left_out.map(({ name, reason }) => {
    const tool = offered.find(({ definition }) => definition.name === name);
    return `The tool ${tool?.name ?? name} was left out, as the model cannot be told of it: ${reason.slice(0, 300).toWellFormed()}`;
  });
}
