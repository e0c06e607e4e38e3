import { z } from '@hono/zod-openapi';
import { findRunView, listRuns, type RunView } from '../../db/run-views.ts';
import { findRunPlace } from '../../db/run-events.ts';
import { isFinished } from '../../db/runs.ts';
import type { RunStatus } from '../../workflows/messages.ts';
import { readCursor, writeCursor } from './cursor.ts';
import { runLinks } from './links.ts';
import { besides } from '../deadline.ts';
import { answerCancelled } from '../cancel-run.ts';
import { notFound } from '../errors.ts';
import { checkGateTerms } from '../gate-policy.ts';
import { newId } from '../ids.ts';
import { body, createRouter, json, links, route, sendJson } from '../openapi.ts';
import { checkFallbacks, chooseModels } from '../policy.ts';
import {
  createRunSchema,
  runCancelledSchema,
  runListQuery,
  runListSchema,
  runSchema,
  runStartedSchema,
} from '../schemas/run.ts';
import { runWaitQuery } from '../schemas/run-events.ts';
import { id } from '../schemas/text.ts';
import { answerStarted, startRun } from '../start-run.ts';
import { agentTemplates } from '../templates.ts';

export const runsRouter = createRouter();

const create = route({
  method: 'post',
  path: '/',
  operationId: 'createRun',
  tags: ['Runs'],
  summary: 'Start a run in the background',
  request: { body: body(createRunSchema) },
  responses: { 201: json(runStartedSchema, 'The run is accepted and will not be lost') },
  links: runLinks(),
  problems: [402],
});

runsRouter.openapi(create, async (c) => {
  const input = c.req.valid('json');
  const { db, config, managed, tools } = c.var.deps;
  const account_id = c.var.accountId;
  checkGateTerms(input, config.REMIND_EVERY_MIN_SECONDS);
  const provider_id = input.provider_id ?? null;
  await checkFallbacks(db, account_id, input.fallback_provider_ids);
  const given = input.agents.length > 0 ? input.agents : agentTemplates;
  const agents = await chooseModels({ db, config, managed, tools }, account_id, provider_id, given);
  const run_id = newId('run', c.var.idempotency);
  await startRun(
    c.var.deps,
    {
      run_id,
      account_id,
      task: input.task,
      agents: JSON.stringify(agents),
      human_gates: JSON.stringify(input.human_gates),
      ask_me_about: JSON.stringify(input.ask_me_about),
      require_approval: input.require_approval,
      webhook_url: input.webhook_url ?? null,
      gate_due_in: input.gate_due_in ?? null,
      remind_every: input.remind_every ?? null,
      on_timeout: input.on_timeout,
      escalation_webhook_url: input.escalation_webhook_url ?? null,
      provider_id,
      fallback_provider_ids: JSON.stringify(input.fallback_provider_ids),
      max_cost_usd: input.max_cost_usd ?? null,
      max_tokens: input.max_tokens ?? null,
      on_budget: input.on_budget,
    },
    c.var.idempotency,
  );
  return answerStarted(c, run_id);
});

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listRuns',
  tags: ['Runs'],
  summary: 'The history of runs, newest first',
  request: { query: runListQuery },
  responses: { 200: json(runListSchema, 'A page of runs') },
  links: {
    ...runLinks('/runs/0/run_id'),
    ...links({ run_id: '/runs/0/run_id', task_id: '/runs/0/waiting_tasks/0' }, 'completeTask'),
    ...links({ cursor: '/next_cursor' }, 'listRuns'),
  },
  problems: [422],
});

runsRouter.openapi(list, async (c) => {
  const { limit, cursor, status } = c.req.valid('query');
  const after = cursor === undefined ? undefined : readCursor(cursor);
  const runs = await listRuns(c.var.deps.db, c.var.accountId, { limit: limit + 1, status, after });
  const page = runs.slice(0, limit);
  const has_more = runs.length > limit;
  const last = page.at(-1);
  const next_cursor = has_more && last ? writeCursor({ created_at: last.created_at, id: last.run_id }) : null;
  return c.json({ runs: page, has_more, next_cursor }, 200);
});

const get = route({
  method: 'get',
  path: '/{run_id}',
  operationId: 'getRun',
  tags: ['Runs'],
  summary: 'Status, tasks and final output of a run',
  request: {
    params: z.object({ run_id: id }),
    query: z.object({
      live: z
        .enum(['true', 'false'])
        .optional()
        .openapi({ description: "Adds `live`: the workflow's own state, asked of a worker." }),
      ...runWaitQuery,
    }),
  },
  responses: { 200: json(runSchema, 'The run') },
  links: { ...runLinks(), ...links({ run_id: '/run_id', task_id: '/waiting_tasks/0' }, 'completeTask') },
  problems: [404, 422],
});

runsRouter.openapi(get, async (c) => {
  const { run_id } = c.req.valid('param');
  const { db, engine, runEvents } = c.var.deps;
  const { live: wantsLive, wait, seen } = c.req.valid('query');
  if (wait) {
    if (!(await findRunPlace(db, c.var.accountId, run_id))) throw notFound('Run');
    const holds = (status: RunStatus) =>
      seen ? status === seen && !isFinished(status) : status === 'pending' || status === 'running';
    const timeout_ms = wait * 1_000;
    await besides(c, timeout_ms, runEvents.waitWhile(run_id, holds, { timeout_ms, signal: c.req.raw.signal }));
  }
  const run = await findRunView(db, c.var.accountId, run_id);
  if (!run) throw notFound('Run');
  if (wantsLive !== 'true') return sendJson(c, run);
  const live = JSON.stringify((await engine.findLiveState(run_id)) ?? null);
  return sendJson<RunView>(c, `${run.slice(0, -1)},"live":${live}}`);
});

const cancel = route({
  method: 'delete',
  path: '/{run_id}',
  operationId: 'cancelRun',
  tags: ['Runs'],
  summary: 'Cancel a run that is still active',
  request: { params: z.object({ run_id: id }) },
  responses: { 200: json(runCancelledSchema, 'The run is cancelled; calls in flight are being aborted') },
  links: runLinks(),
  problems: [404, 409],
});

runsRouter.openapi(cancel, (c) => answerCancelled(c, c.req.valid('param').run_id));
