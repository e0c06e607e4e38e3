import { accepts } from 'hono/accepts';
import type { Context } from 'hono';
import { z } from 'zod';
import { findRunResult } from '../../../../db/run-results.ts';
import { id } from '../../../fields.ts';
import { answerAfter } from '../../../http/answer-after.ts';
import type { AppEnv } from '../../../http/env.ts';
import { keepOpen } from '../../../http/keep-open.ts';
import { body, createRouter, json, route } from '../../../http/openapi.ts';
import { preferHeader, preferredWait } from '../../../http/prefer.ts';
import { sendEvents } from '../../../http/sse.ts';
import { startAgentRun } from '../../../runs/agent-runs.ts';
import { waitForRun } from '../../../runs/wait.ts';
import { runLinks } from '../links.ts';
import { goesOnOf, hasResult, resultOf } from '../run-view.ts';
import { agentRunAnswerSchema, longestWait, runAgentSchema, usualWait } from '../schemas/run.ts';
import { runToEvents } from '../stream.ts';

export const agentRunsRouter = createRouter();

const answered = json(
  agentRunAnswerSchema,
  'The run has ended, or waits for a person; or, as events, what happens in it',
);
const events = { 'text/event-stream': { schema: z.string() } };

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
  responses: {
    200: { ...answered, content: { ...answered.content, ...events } },
    202: json(agentRunAnswerSchema, 'The run goes on; read it under its id'),
  },
  links: runLinks(),
  problems: [402, 404],
});

agentRunsRouter.openapi(run, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const { agent_id } = c.req.valid('param');
  const {
    stream = prefersEvents(c),
    wait = preferredWait(c, longestWait) ?? usualWait,
    ...request
  } = c.req.valid('json');
  if (stream || wait > 0) keepOpen(c);
  const asked = { ...request, origin: 'orchstack' as const };
  const run_id = await startAgentRun(deps, principal, agent_id, asked, idempotency);
  const { db, runEvents } = deps;
  const most_ms = wait * 1_000;
  const read = () => findRunResult(db, principal.account_id, run_id);
  c.header('Location', `/v1/runs/${run_id}`);
  if (stream) {
    c.header('Run-Id', run_id);
    return sendEvents(c, (signal) => runToEvents({ run_id, runEvents, read, most_ms }, signal));
  }
  const { signal } = c.req.raw;
  return answerAfter(c, {
    most_ms,
    wait: (left_ms) => waitForRun(runEvents, run_id, { read, hasResult }, { most_ms: left_ms, signal }),
    answer: (found) => {
      const result = found ? resultOf(found) : goesOnOf(run_id, 'running', { how: 'The run goes on.' });
      return c.json(result, 'message' in result ? 202 : 200);
    },
    otherwise: () => c.json(goesOnOf(run_id, 'running', { how: 'The run goes on.' }), 202),
  });
});

/** Whoever takes both gets JSON: generated clients name all that an operation can answer. */
function prefersEvents(c: Context<AppEnv>): boolean {
  const supports = ['application/json', 'text/event-stream'];
  return accepts(c, { header: 'Accept', supports, default: 'application/json' }) === 'text/event-stream';
}
