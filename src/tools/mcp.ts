import { Client, StreamableHTTPClientTransport, type ContentBlock, type Transport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { ToolError } from './tool.ts';

/** Tools of MCP servers (https://modelcontextprotocol.io): Streamable HTTP, and programs that speak on stdio. */

export type McpTarget =
  { url: string; headers: Record<string, string> } | { command: string; args: string[]; env: Record<string, string> };

export type McpOptions = { fetch: typeof globalThis.fetch; signal: AbortSignal };

export type McpTool = { name: string; description: string; json_schema: Record<string, unknown> };

/** A server that lists more has a fault, or is not for us. */
const maxTools = 200;
const maxDescription = 4_000;

/**
 * The tools of a server.
 *
 * @throws ToolError when it cannot be reached or does not speak MCP.
 */
export async function listMcpTools(target: McpTarget, options: McpOptions): Promise<McpTool[]> {
  return withClient(target, options, async (client) => {
    const { tools } = await client.listTools(undefined, { signal: options.signal });
    if (tools.length > maxTools) throw new ToolError(`It lists more than ${maxTools} tools.`);
    return tools.map(({ name, title, description, inputSchema }) => ({
      name: storable(name),
      description: storable((description ?? title ?? name).slice(0, maxDescription)),
      json_schema: storable(inputSchema),
    }));
  });
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
  const client = new Client({ name: 'orchflow', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  try {
    await client.connect(transportOf(target, fetch), { signal });
    return await use(client);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ToolError) throw error;
    throw new ToolError(withoutSecrets(target, `The MCP server failed: ${reasonOf(error)}`));
  } finally {
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

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
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
