import { body, createRouter, route } from '../../../http/openapi.ts';
import { preferHeader } from '../../../http/prefer.ts';
import { getOwnOrchestration } from '../../../orchestrations/registry.ts';
import { startOrchestration } from '../../../orchestrations/start.ts';
import { answerRun, runAnswers, wayOfAnswer } from '../answer-run.ts';
import { runLinks } from '../links.ts';
import { executeWorkflowSchema } from '../schemas/run.ts';
import { workflowParams } from '../schemas/workflow.ts';

export const workflowRunsRouter = createRouter();

const execute = route({
  method: 'post',
  path: '/{workflow_id}/execute',
  operationId: 'executeWorkflow',
  scope: 'runs:write',
  tags: ['OrchStack workflows'],
  summary: 'Execute a workflow',
  description: `Answers as \`POST /v1/agents/{agent_id}/run\` does: when the run has ended, or waits for a person, or after \`wait\` with 202 (200, where
that is more than three seconds). \`output\` is what the last step has left in the state, as a text; empty where none has. Registered agents are used as they are now.

As events it has \`step_started\`, \`step_completed\` and \`step_failed\` {task_id, step_id, name, step_type} besides, and \`token\` has the
\`task_id\` of the step whose text it is: steps of a \`parallel\` are at work at the same time.`,
  request: { params: workflowParams, headers: preferHeader, body: body(executeWorkflowSchema) },
  responses: runAnswers,
  links: runLinks(),
  problems: [402, 404],
});

workflowRunsRouter.openapi(execute, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const { input: message, stream, wait, ...given } = c.req.valid('json');
  const way = wayOfAnswer(c, { stream, wait });
  const find = () => getOwnOrchestration(deps, principal, c.req.valid('param').workflow_id);
  const request = { ...given, message, warnings: [], origin: 'orchstack' as const };
  const run_id = await startOrchestration(deps, principal, find, request, idempotency);
  return answerRun(c, run_id, { ...way, ofSteps: true });
});
