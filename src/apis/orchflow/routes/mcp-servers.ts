import { z } from 'zod';
import { deleteMcpServer, listMcpServers, upsertMcpServer, type McpServerView } from '../../../../db/mcp-servers.ts';
import { encrypt, mcpServerContext } from '../../../crypto.ts';
import { InvalidInputError, notFound } from '../../../errors.ts';
import { requireCallable } from '../../../fetch/index.ts';
import { besides } from '../../../http/deadline.ts';
import { body, createRouter, json, links, route } from '../../../http/openapi.ts';
import { HttpError } from '../../../http/problems.ts';
import { createHeavyTurns } from '../../../http/turns.ts';
import {
  createMcpServerSchema,
  mcpServerCreatedSchema,
  mcpServerDeletedSchema,
  mcpServerListSchema,
  mcpServerName,
} from '../schemas/mcp-server.ts';
import { listMcpTools, ToolError, type McpTarget } from '../../../tools/index.ts';

/** How long a server may take to list its tools, and whoever registers it wait for its turn. */
const timeout_ms = 20_000;
/** A list may be megabytes. */
const turns = createHeavyTurns();

export const mcpServersRouter = createRouter();

function toWire({ name, url, command, args, tools, created_at }: McpServerView) {
  const named = tools.map((tool) => ({ name: `${name}.${tool.name}`, description: tool.description }));
  return { name, url, command, args, tools: named, created_at };
}

const create = route({
  method: 'post',
  path: '/',
  operationId: 'createMcpServer',
  scope: 'tools:write',
  tags: ['Tools'],
  summary: 'Register an MCP server, in place of one of its name: its tools are listed now',
  description:
    'The server is asked for its tools at once: one that does not answer within 20 seconds is 422. Those of one ' +
    'account are asked one at a time: after 20 seconds without its turn a registration is 429. Headers and environment ' +
    'are encrypted and never returned.',
  request: { body: body(createMcpServerSchema) },
  responses: { 201: json(mcpServerCreatedSchema, 'The server with its tools, without its secrets') },
  links: links({ server_name: '/name' }, 'deleteMcpServer'),
});

mcpServersRouter.openapi(create, async (c) => {
  const { name, url, headers = {}, command, args = [], env = {} } = c.req.valid('json');
  const { db, config, fetch, checkAddress } = c.var.deps;
  requireCallable(checkAddress, [[['url'], url]]);
  const { account_id, client_id } = c.var.principal;
  if (command && client_id) {
    // Nobody who lets an application change tools thinks of that.
    throw new HttpError(
      'NOT_FOR_CLIENTS',
      'This starts a program on the server. Do it with an API key of the account.',
    );
  }
  if (command && !config.MCP_STDIO_ENABLED) {
    throw new InvalidInputError([
      { path: ['command'], detail: 'is not allowed: the operator has not set MCP_STDIO_ENABLED' },
    ]);
  }
  const target: McpTarget = url ? { url, headers } : { command: command!, args, env };
  const signal = AbortSignal.any([c.req.raw.signal, AbortSignal.timeout(timeout_ms)]);
  const read = () => listMcpTools(target, { fetch, signal });
  const listed = besides(c, timeout_ms, () => turns.take(account_id, read, () => signal));
  const { tools, left_out } = await listed.catch((error) => {
    if (error instanceof HttpError) throw error;
    const reason =
      error instanceof ToolError
        ? error.message
        : `It did not answer within ${timeout_ms / 1_000} seconds, in which those that were registered before it have their turns too.`;
    throw new InvalidInputError([{ path: [url ? 'url' : 'command'], detail: `The tools cannot be listed. ${reason}` }]);
  });
  const secrets = JSON.stringify(url ? headers : env);
  const row = {
    account_id,
    name,
    url: url ?? null,
    command: command ?? null,
    args: JSON.stringify(args),
    secrets_encrypted:
      secrets === '{}' ? null : encrypt(secrets, config.ENCRYPTION_KEY, mcpServerContext(account_id, name)),
    tools: JSON.stringify(tools),
  };
  const created_at = await upsertMcpServer(db, row, config.MAX_MCP_SERVERS_PER_ACCOUNT);
  const server = { name, url: row.url, command: row.command, args, tools, created_at };
  return c.json({ ...toWire(server), ...(left_out.length && { left_out }) }, 201);
});

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listMcpServers',
  scope: 'tools:read',
  tags: ['Tools'],
  summary: 'The MCP servers of this account',
  description: 'Their tools are those that were listed at registration; register a server again to list them anew.',
  responses: { 200: json(mcpServerListSchema, 'The servers with their tools, without their secrets') },
  links: links({ server_name: '/servers/0/name' }, 'deleteMcpServer'),
});

mcpServersRouter.openapi(list, async (c) => {
  const servers = await listMcpServers(c.var.deps.db, c.var.principal.account_id);
  return c.json({ servers: servers.map(toWire) }, 200);
});

const remove = route({
  method: 'delete',
  path: '/{server_name}',
  operationId: 'deleteMcpServer',
  scope: 'tools:write',
  tags: ['Tools'],
  summary: 'Remove an MCP server; agents that have its tools go on without them',
  description: 'Its secrets are deleted with it.',
  request: { params: z.object({ server_name: mcpServerName }) },
  responses: { 200: json(mcpServerDeletedSchema, 'It is not called any more') },
  problems: [404],
});

mcpServersRouter.openapi(remove, async (c) => {
  const { server_name: name } = c.req.valid('param');
  if (!(await deleteMcpServer(c.var.deps.db, c.var.principal.account_id, name))) throw notFound('MCP server');
  return c.json({ name, status: 'deleted' as const, message: 'MCP server removed.' }, 200);
});
