import { Client, StreamableHTTPClientTransport, type ContentBlock, type Transport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { z } from 'zod';
import { EgressBlockedError, whyNoAnswer } from '../fetch/index.ts';
import { ToolError } from './tool.ts';

/** Tools of MCP servers (https://modelcontextprotocol.io): Streamable HTTP, and programs that speak on stdio. */

export type McpTarget =
  { url: string; headers: Record<string, string> } | { command: string; args: string[]; env: Record<string, string> };

export type McpOptions = { fetch: typeof globalThis.fetch; signal: AbortSignal };

export type McpTool = { name: string; description: string; json_schema: Record<string, unknown> };

/** A server that lists more has a fault, or is not for us. */
const maxTools = 200;
const maxPages = 64;
const maxDescription = 4_000;
/** Of one tool, and of all of a server together, as JSON. */
const maxSchema = 100_000;
const maxSchemas = 500_000;
/** With the name of its server and a dot it must still be one that an agent can be given. */
const maxName = 160;

/** Of a tool we read this. All else that a server says of it is not our business, and may be wrong. */
const listed = z.object({ tools: z.array(z.unknown()), nextCursor: z.string().nullish().catch(null) });
const listedTool = z.object({
  name: z.string().min(1),
  title: z.string().optional().catch(undefined),
  description: z.string().optional().catch(undefined),
  inputSchema: z.unknown().optional(),
});

export type McpTools = { tools: McpTool[]; left_out: { name: string; reason: string }[] };

/**
 * The tools of a server. One that cannot be offered to any model is left out, and takes none of the others with it.
 *
 * @throws ToolError when it cannot be reached or does not speak MCP.
 */
export async function listMcpTools(target: McpTarget, options: McpOptions): Promise<McpTools> {
  return withClient(target, options, async (client) => {
    const list: Listing = { tools: [], left_out: [], listed: 0, left: maxSchemas };
    let cursor: string | undefined;
    for (let page = 1; page <= maxPages && client.getServerCapabilities()?.tools; page += 1) {
      // The SDK's own list is refused whole for one wrong tool.
      const request = { method: 'tools/list', params: cursor === undefined ? {} : { cursor } };
      const { tools, nextCursor } = await client.request(request, listed, { signal: options.signal });
      if (list.listed + tools.length > maxTools) throw new ToolError(`It lists more than ${maxTools} tools.`);
      // Page by page, so that no more is held than one of them, and what is kept.
      for (const one of tools) addTo(list, one);
      if (!nextCursor || nextCursor === cursor) break;
      cursor = nextCursor;
    }
    const { tools, left_out } = list;
    return { tools, left_out };
  });
}

/** How many there were so far, and how long the schemas of those to come may be. */
type Listing = McpTools & { listed: number; left: number };

function addTo(list: Listing, given: unknown): void {
  list.listed += 1;
  const { data: tool } = listedTool.safeParse(given);
  const leaveOut = (name: string, reason: string) => list.left_out.push(storable({ name, reason }));
  try {
    const size = JSON.stringify(tool?.inputSchema ?? {}).length;
    const reason = faultOf(tool, list.tools) ?? tooMuch(size, list.left);
    if (!tool || reason) {
      leaveOut(tool?.name.slice(0, maxName) ?? `tool ${list.listed}`, reason!);
      return;
    }
    list.tools.push(storable(toolOf(tool)));
    list.left -= size;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    leaveOut(tool!.name.slice(0, maxName), 'its schema is nested too deep');
  }
}

function faultOf(tool: z.infer<typeof listedTool> | undefined, before: McpTool[]): string | undefined {
  if (!tool) return 'it has no name';
  const { name, inputSchema } = tool;
  if (name.length > maxName || storable(name) !== name)
    return 'its name is too long, or has characters that no name has';
  if (before.some((other) => other.name === name)) return 'another tool has the same name';
  if (!isOfObject(inputSchema)) return 'its schema is not that of an object';
  return undefined;
}

function tooMuch(size: number, left: number): string | undefined {
  if (size > maxSchema) return `its schema is longer than ${maxSchema} characters`;
  if (size > left) return `the schemas of the server are longer than ${maxSchemas} characters together`;
  return undefined;
}

/** None at all is one without arguments. */
function isOfObject(schema: unknown): boolean {
  if (schema === undefined || schema === null) return true;
  if (typeof schema !== 'object' || Array.isArray(schema)) return false;
  const type = 'type' in schema ? schema.type : undefined;
  return type === undefined || type === null || [type].flat().includes('object');
}

function toolOf({ name, title, description, inputSchema }: z.infer<typeof listedTool>): McpTool {
  const json_schema = (inputSchema ?? { type: 'object', properties: {} }) as Record<string, unknown>;
  return { name, description: (description || title || name).slice(0, maxDescription), json_schema };
}

/**
 * Calls a tool. The key goes along as `_meta["orchflow/idempotency_key"]`.
 *
 * @throws ToolError with what the tool says when it failed, or why it could not be called.
 */
export async function callMcpTool(
  target: McpTarget,
  tool: McpTool,
  call: { arguments: Record<string, unknown>; idempotency_key: string },
  options: McpOptions,
): Promise<string> {
  return withClient(target, options, async (client) => {
    const _meta = { 'orchflow/idempotency_key': call.idempotency_key };
    const { name, json_schema } = tool;
    // Some arguments may have to go as headers too, which its schema says.
    const toolDefinition = { name, inputSchema: { ...json_schema, type: 'object' as const } };
    const request = { name, arguments: call.arguments, _meta };
    const result = await client.callTool(request, { signal: options.signal, toolDefinition });
    const text = result.content.map(textOf).join('\n') || JSON.stringify(result.structuredContent ?? null);
    if (result.isError) throw new ToolError(text);
    return text;
  });
}

/** One connection for one use: servers come and go, and a worker holds no session that a crash could lose. */
async function withClient<T>(
  target: McpTarget,
  { fetch, signal }: McpOptions,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const client = new Client({ name: 'orchflow', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  const transport = transportOf(target, fetch);
  // While it finds out which version the server speaks, the SDK (2.4.0) looks at no signal, for up to a minute.
  const close = () => void transport.close().catch(() => {});
  signal.addEventListener('abort', close, { once: true });
  try {
    await client.connect(transport, { signal });
    return await use(client);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ToolError) throw error;
    throw new ToolError(withoutSecrets(target, `The MCP server failed: ${reasonOf(error)}`));
  } finally {
    signal.removeEventListener('abort', close);
    await client.close().catch(() => {});
  }
}

/** Postgres stores no NUL, and no halves of surrogate pairs. */
function storable<T>(value: T): T;
function storable(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('\u0000', '').toWellFormed();
  if (Array.isArray(value)) return value.map(storable);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [storable(key), storable(inner)]));
}

function transportOf(target: McpTarget, fetch: typeof globalThis.fetch): Transport {
  if ('command' in target) return new StdioClientTransport({ ...target, stderr: 'ignore' });
  return new StreamableHTTPClientTransport(new URL(target.url), {
    fetch,
    requestInit: { headers: target.headers },
    // A call that is cut is an error for the model, who may call again.
    reconnectionOptions: {
      maxRetries: 0,
      initialReconnectionDelay: 0,
      maxReconnectionDelay: 0,
      reconnectionDelayGrowFactor: 1,
    },
  });
}

/** The SDK says what it was about to do, and the last cause what was in its way. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  let last = error;
  while (last.cause instanceof Error) last = last.cause;
  if (last instanceof EgressBlockedError) return last.message;
  const why = whyNoAnswer(error);
  if (why) return `it gave no answer: ${why}`;
  const message = error.message.replace(/^Version negotiation probe failed: /, '');
  return message.includes(last.message) ? message : `${message} (${last.message})`;
}

function withoutSecrets(target: McpTarget, text: string): string {
  const secrets = Object.values('command' in target ? target.env : target.headers).flatMap((value) => [
    value,
    ...value.split(' '),
  ]);
  const known = secrets.filter((secret) => secret.length >= 6);
  return known.reduce((left, secret) => left.replaceAll(secret, '[redacted]'), text).slice(0, 1_000);
}

function textOf(content: ContentBlock): string {
  switch (content.type) {
    case 'text':
      return content.text;
    case 'resource':
      return 'text' in content.resource ? content.resource.text : `[${content.resource.uri}]`;
    case 'resource_link':
      return `[${content.name}: ${content.uri}]`;
    default:
      return `[${content.type}, ${content.mimeType}]`;
  }
}
