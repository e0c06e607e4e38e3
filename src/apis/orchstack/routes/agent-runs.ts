import { z } from 'zod';
import { id } from '../../../fields.ts';
import { body, createRouter, route } from '../../../http/openapi.ts';
import { preferHeader } from '../../../http/prefer.ts';
import { startAgentRun } from '../../../runs/agent-runs.ts';
import { answerRun, runAnswers, wayOfAnswer } from '../answer-run.ts';
import { runLinks } from '../links.ts';
import { runAgentSchema } from '../schemas/run.ts';

export const agentRunsRouter = createRouter();

const run = route({
  method: 'post',
  path: '/{agent_id}/run',
  operationId: 'orchstackRunAgent',
  scope: 'runs:write',
  tags: ['OrchStack agents'],
  summary: 'Trigger an agent run',
  description: `Answers when the run has ended, or waits for a person: \`status\` says which, and \`gates\` what is waited for, and where that is
answered. Who has waited as long as \`wait\` says gets 202 with the \`run_id\`; when the wait was longer than three seconds, 200, for
such an answer begins after three seconds, with white space. A client that leaves loses nothing: the run goes on, and the same
request with the same \`Idempotency-Key\` finds it again.

With \`"stream": true\`, or \`Accept: text/event-stream\`, it is told as server-sent events, each with its \`type\` and \`run_id\` in its JSON:
\`run\` at once; \`token\` {attempt, offset, text} with the text of the answer as the model writes it, where \`offset\` counts UTF-16 code
units, and 0 begins anew; \`tool_call\` {id, tool, arguments}, \`tool_result\` {id, tool, is_error, result} and \`retry\` {reason, tries,
next_try_at}; last \`result\`, which has all that the answer has otherwise. What was lost of the tokens of a run that completes comes
before it, so that they are its \`output\` together. The output of an agent with an output schema comes as one token.`,
  request: { params: z.object({ agent_id: id }), headers: preferHeader, body: body(runAgentSchema) },
  responses: runAnswers,
  links: runLinks(),
  problems: [402, 404],
});

agentRunsRouter.openapi(run, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const { agent_id } = c.req.valid('param');
  const { stream, wait, ...request } = c.req.valid('json');
  const way = wayOfAnswer(c, { stream, wait });
  const asked = { ...request, origin: 'orchstack' as const };
  return answerRun(c, await startAgentRun(deps, principal, agent_id, asked, idempotency), way);
});
