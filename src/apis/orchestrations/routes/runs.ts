import { z } from 'zod';
import type { Context } from 'hono';
import { getAnswerSeq } from '../../../../db/run-events.ts';
import { isOrchestrationRun } from '../../../../db/orchestration-runs.ts';
import { getRun } from '../../../../db/runs.ts';
import { notFound } from '../../../errors.ts';
import { answerAfter } from '../../../http/answer-after.ts';
import type { AppEnv } from '../../../http/env.ts';
import { keepOpen } from '../../../http/keep-open.ts';
import { howItGoesOn, requireRead } from '../../../http/limit-unread.ts';
import { body, createRouter, eventStream, json, route } from '../../../http/openapi.ts';
import { getOrchestration } from '../../../orchestrations/find.ts';
import { afterWarnings, warningsOfIgnored } from '../ignored.ts';
import { resumeRun } from '../resume.ts';
import { startOrchestration } from '../../../orchestrations/start.ts';
import { follow } from '../event-view.ts';
import { orchestrationEventsToWire } from '../stream.ts';
import { waitForAnswer } from '../wait.ts';
import { remarkShape } from '../../../runs/remark-schema.ts';
import { goingOnOf, type GoingOn } from '../../../runs/going-on.ts';
import { retryRun } from '../../../runs/retry.ts';
import { sendEvents } from '../../../http/sse.ts';
import { orchestrationRunLinks } from '../links.ts';
import { orchestrationParams } from '../schemas/orchestration.ts';
import { resumeSchema, runAnswerSchema, runParams, startOrchestrationSchema, waitQuery } from '../schemas/run.ts';

export const orchestrationRunsRouter = createRouter();

const tags = ['Orchestration runs'];
const answers = {
  200: json(runAnswerSchema, 'The run has completed, paused or failed'),
  202: json(runAnswerSchema, 'The run goes on; read it under its id'),
};

/** Waits for the run. A client that hangs up loses nothing: the run goes on. `ignored` is what its request is warned of. */
async function answerOf(c: Context<AppEnv>, run_id: string, seconds: number, ignored: string[] = []) {
  const goesOn = ({ how, ...begins }: GoingOn = { how: howItGoesOn() }) => {
    const message = `${how} Read it with GET /api/v1/orchestrations/runs/${run_id}.`;
    return c.json({ status: 'running' as const, run_id, ...begins, message, warnings: ignored }, 202);
  };
  return answerAfter(c, {
    most_ms: seconds * 1_000,
    wait: (most_ms) =>
      waitForAnswer(c.var.deps, c.var.principal.account_id, run_id, {
        seconds: most_ms / 1_000,
        signal: c.req.raw.signal,
        mayRead: () => requireRead(c),
      }),
    answer: ({ run: found, answer, refused }) => {
      if (answer) return c.json({ ...answer, warnings: [...new Set([...ignored, ...answer.warnings])] }, 200);
      if (!refused) return goesOn(goingOnOf(found));
      c.set('keepsNoAnswer', Promise.resolve());
      return goesOn({ how: howItGoesOn(refused) });
    },
    otherwise: (failure) => goesOn({ how: howItGoesOn(failure) }),
  });
}

async function ignoredBy(c: Context<AppEnv>, schema: typeof startOrchestrationSchema | typeof resumeSchema) {
  return warningsOfIgnored(await c.req.json(), schema.out.shape);
}

const run = route({
  method: 'post',
  path: '/{orch_id}/run',
  operationId: 'runOrchestration',
  scope: 'runs:write',
  tags,
  summary: 'Start an orchestration and wait until it has completed, paused or failed',
  description:
    '`status` says which answer it is: `paused` has what a person is asked for, `completed`, `failed` and ' +
    '`cancelled` have the state, and `running` only the `run_id`, under which it can be read. A run that begins only after ' +
    '`wait` (`start_at`, `start_in`) is answered so at once; `pending_for` and `start_at` say what it waits for.',
  request: { params: orchestrationParams, query: waitQuery, body: body(startOrchestrationSchema) },
  responses: answers,
  links: orchestrationRunLinks(),
  problems: [402, 404, 429],
});

orchestrationRunsRouter.openapi(run, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const { wait } = c.req.valid('query');
  if (wait) keepOpen(c);
  const find = () => getOrchestration(deps.db, principal, c.req.valid('param').orch_id);
  const warnings = await ignoredBy(c, startOrchestrationSchema);
  const request = { ...c.req.valid('json'), warnings, origin: 'orchestrations' as const };
  const run_id = await startOrchestration(deps, principal, find, request, idempotency);
  return answerOf(c, run_id, wait, warnings);
});

const resume = route({
  method: 'post',
  path: '/runs/{run_id}/resume',
  operationId: 'resumeOrchestrationRun',
  scope: 'gates:answer',
  tags,
  summary: 'Answer the step at which a run has paused, and wait until it has completed, paused again or failed',
  description:
    'Where several steps wait, `step_id` or `gate_id` says which one is meant. Of several answers to one gate ' +
    'the first counts, and the others are 409 with the `answer` that stands.',
  request: { params: runParams, query: waitQuery, body: body(resumeSchema) },
  responses: answers,
  links: orchestrationRunLinks(),
  problems: [404, 409],
});

orchestrationRunsRouter.openapi(resume, async (c) => {
  const { run_id } = c.req.valid('param');
  const { deps, principal, idempotency } = c.var;
  const { wait } = c.req.valid('query');
  if (wait) keepOpen(c);
  await resumeRun(deps, principal, run_id, c.req.valid('json'), idempotency);
  return answerOf(c, run_id, wait, await ignoredBy(c, resumeSchema));
});

const streamHeaders = z.object({
  'Run-Id': z.string().meta({ description: 'The run, told at once: its first event comes only when it begins.' }),
});
const streamed = {
  200: eventStream('The events, until the run ends or waits for a person; `done` is the last', streamHeaders),
};

/** What happens in the run from after `seq`. It goes on when the client leaves. */
async function streamOf(c: Context<AppEnv>, run_id: string, seq: number, ignored: string[]) {
  const { deps, principal } = c.var;
  const { orchestration_id, definition_hash } = await getRun(deps.db, run_id);
  const ids = { account_id: principal.account_id, run_id, orchestration_id: orchestration_id! };
  const following = await follow(deps.db, { ...ids, definition_hash: definition_hash! });
  c.header('Run-Id', run_id);
  return sendEvents(c, (signal) => {
    const events = orchestrationEventsToWire(following, deps.runEvents.follow(run_id, seq, signal), signal);
    return afterWarnings(run_id, ignored, events);
  });
}

const runStream = route({
  method: 'post',
  path: '/{orch_id}/run/stream',
  operationId: 'streamOrchestration',
  scope: 'runs:write',
  tags,
  summary: 'Start an orchestration and follow it as server-sent events',
  description: `Each event is JSON in \`data\` with its \`type\`: \`orchestration_start\`, \`step_start\`, \`step_complete\` (with \`output\`),
\`step_error\`, \`step_warning\`, \`thinking\`, \`agent_turn\` and \`llm_thought\`, \`tool_execution\`, \`tool_result\`, \`final\`,
\`routing_decision\`, \`if_decision\`, \`switch_decision\`, \`parallel_start\`, \`branch_start\`, \`parallel_complete\`, \`loop_iteration\`,
\`loop_complete\`, \`loop_limit_reached\`, \`merge_complete\`, \`transform_result\`, \`human_input_required\`, \`orchestration_end\`,
\`orchestration_error\`, \`orchestration_complete\` (with \`final_state\`), \`delta\` (text while it is written), \`done\`.
Before them, \`warning\` (with \`warnings\`) names the members of the request that it does not have. A run that begins later
(\`start_at\`, \`start_in\`), or waits for a place, has no event until then; the header \`Run-Id\` says which one it is.`,
  request: { params: orchestrationParams, body: body(startOrchestrationSchema) },
  responses: streamed,
  problems: [402, 404, 429],
});

orchestrationRunsRouter.openapi(runStream, async (c) => {
  keepOpen(c);
  const { deps, principal, idempotency } = c.var;
  const find = () => getOrchestration(deps.db, principal, c.req.valid('param').orch_id);
  const warnings = await ignoredBy(c, startOrchestrationSchema);
  const request = { ...c.req.valid('json'), warnings, origin: 'orchestrations' as const };
  const run_id = await startOrchestration(deps, principal, find, request, idempotency);
  return streamOf(c, run_id, 0, warnings);
});

const resumeStream = route({
  method: 'post',
  path: '/runs/{run_id}/resume/stream',
  operationId: 'streamResumedRun',
  scope: 'gates:answer',
  tags,
  summary: 'Answer the step at which a run has paused, and follow it as server-sent events',
  description: 'The events from this answer on; they are those of `streamOrchestration`.',
  request: { params: runParams, body: body(resumeSchema) },
  responses: streamed,
  problems: [404, 409],
});

orchestrationRunsRouter.openapi(resumeStream, async (c) => {
  keepOpen(c);
  const { run_id } = c.req.valid('param');
  const { deps, principal, idempotency } = c.var;
  const gate_id = await resumeRun(deps, principal, run_id, c.req.valid('json'), idempotency);
  const answered = await getAnswerSeq(deps.db, run_id, gate_id);
  return streamOf(c, run_id, answered - 1, await ignoredBy(c, resumeSchema));
});

const retry = route({
  method: 'post',
  path: '/runs/{run_id}/retry',
  operationId: 'retryOrchestrationRun',
  scope: 'runs:write',
  tags,
  summary:
    'Go on with a run that has failed, where it stopped, and wait for it; steps that are done are not done again',
  description: '`attempt` of the run counts up, and the failed step begins anew.',
  request: { params: runParams, query: waitQuery.extend(remarkShape) },
  responses: answers,
  links: orchestrationRunLinks(),
  problems: [402, 404, 409],
});

orchestrationRunsRouter.openapi(retry, async (c) => {
  const { run_id } = c.req.valid('param');
  const { deps, principal, idempotency } = c.var;
  const { wait, ...remark } = c.req.valid('query');
  if (wait) keepOpen(c);
  if (!(await isOrchestrationRun(deps.db, principal.account_id, run_id))) throw notFound('Run');
  await retryRun(deps, principal, { run_id, ...remark }, idempotency);
  return answerOf(c, run_id, wait);
});
