import { z } from 'zod';
import { countCallsOfVersion, listCallsOfVersion } from '../../../../db/called-runs.ts';
import { getOwnVersion } from '../../../agents/publish.ts';
import { createRouter, json } from '../../../http/openapi.ts';
import { ownLogLine } from '../call-view.ts';
import { mostCounted } from '../called-run.ts';
import { operation } from '../operation.ts';
import { agentLogsQuery, agentLogsSchema } from '../schemas/usage.ts';

/** How calls of a version went, for its author. */
export const agentLogsRouter = createRouter();

const logs = operation({
  method: 'get',
  path: '/{version_id}/logs',
  operationId: 'getAgentLogs',
  scope: 'runs:read',
  tags: ['orchagent usage'],
  summary: 'The execution logs of a version of your agent, newest first',
  description:
    'Whoever has called it. Of calls by other accounts you are told how they went, how long they took, and when, to the minute: not who called, with what, or what it cost. What was said in your own is in `/workspaces/{workspace_id}/runs/{run_id}/logs`.',
  request: { params: z.object({ version_id: z.uuid() }), query: agentLogsQuery },
  responses: { 200: json(agentLogsSchema, 'A page of calls') },
  problems: [404],
});

agentLogsRouter.openapi(logs, async (c) => {
  const { version_id } = c.req.valid('param');
  const { db } = c.var.deps;
  const { account_id } = c.var.principal;
  await getOwnVersion(c.var.deps, c.var.principal, version_id);
  const found = await listCallsOfVersion(db, account_id, version_id, c.req.valid('query'));
  const total = await countCallsOfVersion(db, account_id, version_id, mostCounted);
  return c.json({ logs: found.map(ownLogLine), total }, 200);
});
