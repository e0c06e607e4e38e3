import type { Context } from 'hono';
import { findOrchestrationRun, listOrchestrationRuns } from '../../db/orchestration-runs.ts';
import { cancelRun } from '../../db/runs.ts';
import { besides } from '../deadline.ts';
import type { AppEnv } from '../deps.ts';
import { ApiError, notFound } from '../errors.ts';
import { body, createRouter, json, route } from '../openapi.ts';
import { getOrchestration } from '../orchestrations/find.ts';
import { resumeRun } from '../orchestrations/resume.ts';
import { runToWire, statusesOf, wireStatus } from '../orchestrations/run-view.ts';
import { startOrchestration } from '../orchestrations/start.ts';
import { waitForAnswer } from '../orchestrations/wait.ts';
import { orchestrationParams } from '../schemas/orchestration.ts';
import {
  orchestrationRunCancelledSchema,
  orchestrationRunListSchema,
  orchestrationRunSchema,
  resumeSchema,
  runAnswerSchema,
  runGoesOnSchema,
  runListQuery,
  runParams,
  startOrchestrationSchema,
  waitQuery,
} from '../schemas/orchestration-run.ts';

export const orchestrationRunsRouter = createRouter();

const tags = ['Orchestration runs'];
const answers = {
  200: json(runAnswerSchema, 'The run has completed, paused or failed'),
  202: json(runGoesOnSchema, 'The run goes on; read it under its id'),
};

/** Waits for the run. A client that hangs up loses nothing: the run goes on. */
async function answerOf(c: Context<AppEnv>, run_id: string, seconds: number) {
  const answer = await besides(
    c,
    waitForAnswer(c.var.deps, c.var.accountId, run_id, { seconds, signal: c.req.raw.signal }),
  );
  if (answer) return c.json(answer, 200);
  const message = `The run goes on. Read it with GET /api/v1/orchestrations/runs/${run_id}.`;
  return c.json({ status: 'running' as const, run_id, message }, 202);
}

const run = route({
  method: 'post',
  path: '/{orch_id}/run',
  tags,
  summary: 'Start an orchestration and wait until it has completed, paused or failed',
  request: { params: orchestrationParams, query: waitQuery, body: body(startOrchestrationSchema) },
  responses: answers,
  problems: [402, 404, 429],
});

orchestrationRunsRouter.openapi(run, async (c) => {
  const { deps, accountId, idempotency } = c.var;
  const orchestration = await getOrchestration(deps.db, accountId, c.req.valid('param').orch_id);
  const run_id = await startOrchestration(deps, accountId, orchestration, c.req.valid('json'), idempotency);
  return answerOf(c, run_id, c.req.valid('query').wait);
});

const resume = route({
  method: 'post',
  path: '/runs/{run_id}/resume',
  tags,
  summary: 'Answer the step at which a run has paused, and wait until it has completed, paused again or failed',
  request: { params: runParams, query: waitQuery, body: body(resumeSchema) },
  responses: answers,
  problems: [404, 409],
});

orchestrationRunsRouter.openapi(resume, async (c) => {
  const { run_id } = c.req.valid('param');
  const { deps, accountId, idempotency } = c.var;
  await resumeRun(deps, accountId, run_id, c.req.valid('json'), idempotency?.isRetry);
  return answerOf(c, run_id, c.req.valid('query').wait);
});

const list = route({
  method: 'get',
  path: '/runs',
  tags,
  summary: 'The newest runs of orchestrations',
  request: { query: runListQuery },
  responses: { 200: json(orchestrationRunListSchema, 'The runs') },
  problems: [422],
});

orchestrationRunsRouter.openapi(list, async (c) => {
  const { status, ...page } = c.req.valid('query');
  const runs = await listOrchestrationRuns(c.var.deps.db, c.var.accountId, {
    ...page,
    status: status && statusesOf(status),
  });
  return c.json(
    {
      runs: runs.map(({ completed_at, ...item }) => ({
        ...item,
        status: wireStatus(item.status),
        ended_at: completed_at,
      })),
    },
    200,
  );
});

const get = route({
  method: 'get',
  path: '/runs/{run_id}',
  tags,
  summary: 'A run of an orchestration: its state, its steps, and what it waits for',
  request: { params: runParams },
  responses: { 200: json(orchestrationRunSchema, 'The run') },
  problems: [404],
});

orchestrationRunsRouter.openapi(get, async (c) => {
  const found = await findOrchestrationRun(c.var.deps.db, c.var.accountId, c.req.valid('param').run_id);
  if (!found) throw notFound('Run');
  return c.json(runToWire(found), 200);
});

const cancel = route({
  method: 'post',
  path: '/runs/{run_id}/cancel',
  tags,
  summary: 'Cancel a run that is still active',
  request: { params: runParams },
  responses: { 200: json(orchestrationRunCancelledSchema, 'The run is cancelled; calls in flight are being aborted') },
  problems: [404, 409],
});

orchestrationRunsRouter.openapi(cancel, async (c) => {
  const { run_id } = c.req.valid('param');
  const { db, outbox } = c.var.deps;
  const isOrchestration = await findOrchestrationRun(db, c.var.accountId, run_id);
  const cancelled = isOrchestration && (await cancelRun(db, c.var.accountId, run_id));
  if (!cancelled) throw notFound('Run');
  if (cancelled.before === 'completed' || cancelled.before === 'failed') {
    throw new ApiError('RUN_FINISHED', `The run is ${cancelled.before}.`, { run_status: cancelled.before });
  }
  outbox.send(cancelled.entry);
  return c.json({ run_id, status: 'cancelled' as const, message: 'Run cancelled.' }, 200);
});
