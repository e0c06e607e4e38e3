import { z } from 'zod';
import { id } from '../../../fields.ts';
import { body, createRouter, json, route } from '../../../http/openapi.ts';
import { startAgentRun } from '../../../runs/agent-runs.ts';
import { runLinks } from '../links.ts';
import { createAgentRunSchema } from '../schemas/agent-run.ts';
import { runStartedSchema } from '../schemas/run.ts';
import { started } from '../started.ts';

export const agentRunsRouter = createRouter();

const create = route({
  method: 'post',
  path: '/{agent_id}/runs',
  operationId: 'createAgentRun',
  scope: 'runs:write',
  tags: ['Agents'],
  summary: 'Have an agent do one thing, in the background',
  description:
    'A run of `kind: agent`: one input, one output. All that can be done to runs can be done to it, but that its only task (T1) is ' +
    'not changed while it is under way. With an output schema its output is JSON; where the model gives none that fits, after it was ' +
    'asked three times, the run fails, and can be retried.',
  request: { params: z.object({ agent_id: id }), body: body(createAgentRunSchema) },
  responses: { 201: json(runStartedSchema, 'The run is accepted and will not be lost') },
  links: runLinks(),
  problems: [402, 404],
});

agentRunsRouter.openapi(create, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const { agent_id } = c.req.valid('param');
  const request = { ...c.req.valid('json'), origin: 'orchflow' as const };
  return started(c, await startAgentRun(deps, principal, agent_id, request, idempotency), request);
});
