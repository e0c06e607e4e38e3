import { Context } from '@temporalio/activity';
import { isUnavailable } from '../db/index.ts';
import { findLlmCall } from '../db/llm-calls.ts';
import { findMcpServer } from '../db/mcp-servers.ts';
import { takeOfRate } from '../db/rate-limits.ts';
import type { McpServer, OwnRun, RequestedCall } from '../db/schema.ts';
import { findApproval, findToolResult, insertToolResult, type ToolResult } from '../db/tool-calls.ts';
import type { Work } from '../db/work.ts';
import { agentTool, StillAtWork } from '../src/calls/agent-tool.ts';
import { readRef } from '../src/agents/offers.ts';
import { decrypt, mcpServerContext, OtherKeyError, sha256, type KeyRing } from '../src/crypto.ts';
import { NoThreadError } from '../src/javascript/index.ts';
import { searchKnowledgeTool } from '../src/knowledge/search-tool.ts';
import { parseToolArguments, type ToolDefinition } from '../src/llm/index.ts';
import { callMcpTool, maxResultLength, ToolError, wireName, type McpTarget, type Tool } from '../src/tools/index.ts';
import { searchKnowledge, type AgentTool } from '../workflows/contract/definition.ts';
import { storable } from '../workflows/contract/form.ts';
import type { Progress, ToolRequest } from '../workflows/contract/states.ts';
import { atWork, keep } from './at-work.ts';
import type { ActivityDeps } from './deps.ts';
import { agentAtWork, noThread } from './places.ts';
import { cut } from './prompts/blocks.ts';

/** Of one call. */
const timeout_ms = 60_000;
/** Of texts in Temporal's history and in events, in characters. */
const previewLength = 200;

/** A tool as it is offered to a model: under the name that all vendors take. */
export type OfferedTool = AgentTool & {
  definition: ToolDefinition;
  /** What is called, when that is not ours: another server of the same name is not what was offered. */
  source?: string;
  /** It was offered before. The model is told of it, and a call of it is not made. */
  is_withdrawn?: true;
};

/** The tools of an agent that are there now, as they are offered to a model, and those that are not. */
export async function offerTools(
  deps: ActivityDeps,
  run: RunOfTool,
  wanted: AgentTool[],
): Promise<{ offered: OfferedTool[]; missing: AgentTool[] }> {
  const found = await Promise.all(
    wanted.map(async (tool) => ({
      tool,
      ours: await findTool(deps, run, tool.name, tool.calls ?? tool.knowledge?.join()),
    })),
  );
  return {
    offered: found.flatMap(({ tool, ours }) => {
      if (!ours) return [];
      const { description, json_schema, source } = ours;
      return [{ ...tool, source, definition: { name: wireName(tool.name), description, json_schema } }];
    }),
    missing: found.flatMap(({ tool, ours }) => (ours ? [] : [tool])),
  };
}

/** A tool that is not there any more, for a model that has called it before: its call fails. */
export function withdrawn(tool: AgentTool): OfferedTool {
  const definition = {
    name: wireName(tool.name),
    description: 'Cannot be called any more.',
    json_schema: { type: 'object', properties: {} },
  };
  return { ...tool, definition, is_withdrawn: true };
}

/** The operator pays for what searches the web. */
const webSearch = 'web_search';

type RunOfTool = Pick<OwnRun, 'account_id' | 'mode' | 'run_id'>;

type CallTool = Pick<ToolRequest, 'answer_id' | 'position'> & {
  run_id: string;
  /** The gate at which it was decided; absent where nobody was asked, and from workers of 0.1.0. */
  gate_id?: string;
  /** The text of arguments that a person wrote in place of the model's. */
  edited_id?: string | null;
  /** The text of a person's reason why this must not be done. */
  refused_id?: string | null;
  progress?: Progress;
};

/** How the tools are called that agents ask for. */
export function createToolActivities(deps: ActivityDeps) {
  return {
    callTool: (input: CallTool) =>
      atWork(deps, input, [input.edited_id ?? null, input.refused_id ?? null], (work) => callTool(deps, input, work)),
  };
}

/**
 * Makes one call that a model asked for, or tells it that a person refused, and journals the result before anything
 * else. Once that is there, the tool is not called again; after a crash before it, it is, with the same key. Whatever
 * goes wrong with the tool is a result for the model.
 */
async function callTool(
  deps: ActivityDeps,
  input: CallTool,
  work: Work,
): Promise<{ result_id: string; is_error: boolean; preview: string }> {
  const call_id = `${input.answer_id}/${input.position}`;
  const { text, is_error } =
    (await findToolResult(deps.db, call_id)) ?? (await callAndJournal(deps, input, work, call_id));
  return { result_id: call_id, is_error, preview: text.slice(0, previewLength).toWellFormed() };
}

async function callAndJournal(deps: ActivityDeps, input: CallTool, work: Work, call_id: string): Promise<ToolResult> {
  const { db } = deps;
  const { answer_id, position, run_id } = input;
  const answer = (await findLlmCall(db, answer_id))!;
  const requested = answer.tool_calls![position - 1]!;
  const approved_at = requested.require_approval
    ? await findApproval(db, { call_id, run_id, task_id: answer.task_id, gate_id: input.gate_id })
    : undefined;
  const row = { call_id, answer_id, position, run_id, tool: requested.tool ?? requested.name, gate_id: approved_at };
  const began = performance.now();
  const result = await resultOf(deps, input, work, {
    ...requested,
    call_id,
    task_id: answer.task_id,
    finish: answer.finish,
    approved_at,
  });
  const duration_ms = input.refused_id === undefined ? Math.round(performance.now() - began) : null;
  return keep(() => insertToolResult(db, { ...row, duration_ms }, result));
}

type DecidedCall = RequestedCall & {
  call_id: string;
  task_id: string | null;
  finish: 'stop' | 'length';
  approved_at: string | undefined;
};

async function resultOf(
  deps: ActivityDeps,
  { edited_id, refused_id }: CallTool,
  { run, texts }: Work,
  requested: DecidedCall,
): Promise<ToolResult> {
  if (refused_id !== undefined) {
    const reason = texts.get(refused_id ?? '') ?? 'without a reason';
    return { text: `A person refused this call, and it was not made: ${reason}`, is_error: true };
  }
  const edited = texts.get(edited_id ?? '');
  if (edited === undefined && requested.finish === 'length') {
    const text = 'Your answer was cut off at its length limit, so this call was not made. Write less at once.';
    return { text, is_error: true };
  }
  const result = await runTool(deps, run, requested, edited ?? requested.arguments);
  if (edited === undefined) return result;
  return { ...result, text: `A person changed the arguments to:\n${edited}\n\n${result.text}` };
}

/** Makes the call. Whatever goes wrong with it is a result; only a cancellation, and what is our own trouble, is thrown. */
async function runTool(
  deps: ActivityDeps,
  run: RunOfTool,
  { tool: name, name: called, source, is_withdrawn, call_id, task_id, require_approval, approved_at }: DecidedCall,
  given: string,
): Promise<ToolResult> {
  const { run_id } = run;
  const { cancellationSignal } = Context.current();
  const deadline = AbortSignal.timeout(timeout_ms);
  const signal = AbortSignal.any([cancellationSignal, deadline]);
  try {
    const tool =
      name === null || is_withdrawn ? undefined : await findTool(deps, run, name, source, { run_id, task_id });
    if (!tool) throw new ToolError(`There is no tool "${name ?? called}".`);
    // Those that 0.1.0 journalled have none; what a person has approved of them is made.
    if (source !== tool.source && !(source === undefined && approved_at)) {
      throw new ToolError(`The server of "${name}" is another by now, so this call was not made. Call again.`);
    }
    const args = argumentsOf(given);
    if (require_approval && !approved_at) throw new ToolError('Nobody has approved this call, and it was not made.');
    if (name === webSearch) await requireSearch(deps, run.account_id);
    const text = await tool.run(args, {
      account_id: run.account_id,
      run_id,
      task_id,
      signal,
      idempotency_key: call_id,
    });
    return { text: resultText(text), is_error: false };
  } catch (error) {
    cancellationSignal.throwIfAborted();
    // Nothing that the tool is to blame for: another worker, or a later try, may have more luck.
    if (isUnavailable(error) || error instanceof OtherKeyError) throw error;
    if (error instanceof NoThreadError) throw noThread();
    if (error instanceof StillAtWork) throw agentAtWork();
    const tooSlow = `The tool did not answer within ${timeout_ms / 1_000} seconds.`;
    return { text: resultText(deadline.aborted ? tooSlow : messageOf(error)), is_error: true };
  }
}

/** Counts a search of the account. @throws ToolError when it has made as many as it may. */
async function requireSearch({ db, searchRate }: ActivityDeps, account_id: string): Promise<void> {
  if (await takeOfRate(db, { account_id }, searchRate)) return;
  throw new ToolError(`The agents of this account may search the web ${searchRate.most} times in a day, and have.`);
}

/**
 * A tool of ours, `server.tool` of one of the account's MCP servers, or `org/agent`, another agent. Undefined when there is none of this
 * name now. What searches in knowledge bases has their ids for its source.
 */
async function findTool(
  deps: ActivityDeps,
  { account_id, mode, run_id }: RunOfTool,
  name: string,
  source: string | undefined,
  of?: { run_id: string; task_id: string | null },
): Promise<(Tool & { source?: string }) | undefined> {
  const { db, encryptionKey, fetch } = deps;
  if (name === searchKnowledge && source) {
    const isTest = mode === 'test';
    return { ...(await searchKnowledgeTool(deps, account_id, source.split(','), { isTest, of })), source };
  }
  if (isRefOfAgent(source)) {
    const called = await agentTool(deps, source, { account_id, mode, run_id }, { isOffer: of === undefined });
    return called && { ...called, source };
  }
  const dot = name.indexOf('.');
  if (mode === 'test' && name === webSearch) return undefined;
  if (dot < 0) return deps.tools.find((tool) => tool.name === name);
  const server = await findMcpServer(db, account_id, name.slice(0, dot));
  const tool = server?.tools.find((candidate) => candidate.name === name.slice(dot + 1));
  if (!server || !tool) return undefined;
  return {
    ...tool,
    source: sourceOf(server),
    run: (given, { signal, idempotency_key }) =>
      callMcpTool(targetOf(server, encryptionKey), tool, { arguments: given, idempotency_key }, { fetch, signal }),
  };
}

/** The names of tools of MCP servers may have a slash too; what says whose they are has none. */
function isRefOfAgent(source: string | undefined): source is string {
  return source !== undefined && readRef(source) !== undefined;
}

/** Its secrets may change, and it is the same one. */
function sourceOf({ url, command, args }: McpServer): string {
  return sha256(JSON.stringify(url ?? [command, ...args])).slice(0, 16);
}

function targetOf({ account_id, name, url, command, args, secrets_encrypted }: McpServer, keys: KeyRing): McpTarget {
  const secrets = secrets_encrypted ? decrypt(secrets_encrypted, keys, mcpServerContext(account_id, name)) : '{}';
  const values = JSON.parse(secrets) as Record<string, string>;
  return url ? { url, headers: values } : { command: command!, args, env: values };
}

function argumentsOf(text: string): Record<string, unknown> {
  try {
    return parseToolArguments(text);
  } catch (error) {
    throw new ToolError(`The arguments are no valid JSON object: ${(error as Error).message} Call again with JSON.`);
  }
}

function messageOf(error: unknown): string {
  if (error instanceof ToolError) return error.message;
  return `The tool failed: ${error instanceof Error ? error.message : String(error)}`.slice(0, 1_000);
}

/** A model makes more of a word than of nothing. */
function resultText(text: string): string {
  return cut(storable(text), maxResultLength) || '(The tool returned nothing.)';
}
