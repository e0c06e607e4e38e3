import { listTools } from '../../../agents/tools.ts';
import { createRouter, json, route } from '../../../http/openapi.ts';
import { sendJson } from '../../../http/send-json.ts';
import { createHeavyTurns } from '../../../http/turns.ts';
import { toolListSchema } from '../schemas/tool.ts';

export const toolsRouter = createRouter();

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listTools',
  scope: 'tools:read',
  tags: ['Tools'],
  summary: 'The tools that agents of this account may be given',
  description: "Those of Orchflow, and those of the account's MCP servers as `server.tool`.",
  responses: { 200: json(toolListSchema, 'The tools, with the arguments that they take') },
});

/** The list may be megabytes. */
const turns = createHeavyTurns();

toolsRouter.openapi(list, async (c) => {
  const { deps, principal } = c.var;
  return sendJson(c, await turns.take(principal.account_id, () => listTools(deps, principal)));
});
