import { z } from 'zod';
import type { Context } from 'hono';
import { findRunPlace } from '../../../../db/run-events.ts';
import { countRuns, listRuns, type RunFilter } from '../../../../db/run-lists.ts';
import { findRunView, type RunView } from '../../../../db/run-views.ts';
import { notFound } from '../../../errors.ts';
import { id } from '../../../fields.ts';
import { pageOf, readCursor } from '../../../http/cursor.ts';
import { answerAfter } from '../../../http/answer-after.ts';
import type { AppEnv } from '../../../http/env.ts';
import { keepOpen } from '../../../http/keep-open.ts';
import { body, createRouter, json, links, route, sendJson } from '../../../http/openapi.ts';
import { runWaitQuery } from '../../../http/query.ts';
import { cancelRun } from '../../../runs/cancel.ts';
import { stays } from '../../../runs/events.ts';
import { startGoal } from '../../../runs/goals.ts';
import { rerunGoal } from '../../../runs/rerun.ts';
import { runLinks } from '../links.ts';
import {
  createRunSchema,
  rerunSchema,
  runCancelledSchema,
  runCountQuery,
  runCountsSchema,
  runListQuery,
  runListSchema,
  runSchema,
  runStatus,
  runStartedSchema,
} from '../schemas/run.ts';

export const runsRouter = createRouter();

const create = route({
  method: 'post',
  path: '/',
  operationId: 'createRun',
  scope: 'runs:write',
  tags: ['Runs'],
  summary: 'Start a run in the background',
  description:
    'It is kept before this is answered. With `ask_me_about`, its first task (T1) asks a person; read the run ' +
    'with `wait`, or follow its events, to learn when.',
  request: { body: body(createRunSchema) },
  responses: { 201: json(runStartedSchema, 'The run is accepted and will not be lost') },
  links: runLinks(),
  problems: [402, 404],
});

runsRouter.openapi(create, async (c) => {
  const { deps, principal, idempotency } = c.var;
  return started(c, await startGoal(deps, principal, c.req.valid('json'), idempotency));
});

const rerun = route({
  method: 'post',
  path: '/{run_id}/rerun',
  operationId: 'rerun',
  scope: 'runs:write',
  tags: ['Runs'],
  summary: 'Start a new run that does a task of this one again, and all after it; this one stays as it is',
  description:
    'Tasks before `from_task` are taken over as they are, with the texts in `edits` in place of their outputs.',
  request: { params: z.object({ run_id: id }), body: body(rerunSchema) },
  responses: { 201: json(runStartedSchema, 'The new run is accepted and will not be lost') },
  links: runLinks(),
  problems: [402, 404, 409],
});

runsRouter.openapi(rerun, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const { run_id } = c.req.valid('param');
  return started(c, await rerunGoal(deps, principal, run_id, c.req.valid('json'), idempotency));
});

/** 201, with where the run is. */
function started(c: Context<AppEnv>, run_id: string) {
  c.header('Location', `/api/v1/runs/${run_id}`);
  const message = `Run started. Poll GET /runs/${run_id} for status.`;
  return c.json({ run_id, status: 'pending' as const, message }, 201);
}

const list = route({
  method: 'get',
  path: '/',
  operationId: 'listRuns',
  scope: 'runs:read',
  tags: ['Runs'],
  summary: 'The history of runs, newest first unless `sort` says otherwise',
  description: 'Pass `next_cursor` as `cursor`, with the same filters and `sort`, for the page after this one.',
  request: { query: runListQuery },
  responses: { 200: json(runListSchema, 'A page of runs') },
  links: {
    ...runLinks('/runs/0/run_id'),
    ...links({ run_id: '/runs/0/run_id', task_id: '/runs/0/waiting_tasks/0' }, 'completeTask'),
    ...links({ cursor: '/next_cursor' }, 'listRuns'),
  },
});

runsRouter.openapi(list, async (c) => {
  const { limit, cursor, sort, ...filter } = c.req.valid('query');
  const after = cursor === undefined ? undefined : readCursor(cursor);
  const page = { limit: limit + 1, after, oldest_first: sort === 'created_at' };
  const found = await listRuns(c.var.deps.db, c.var.principal.account_id, filterOf(filter), page);
  const { items: runs, ...rest } = pageOf(found, limit, ({ run_id }) => run_id);
  return c.json({ runs, ...rest }, 200);
});

const count = route({
  method: 'get',
  path: '/counts',
  operationId: 'countRuns',
  scope: 'runs:read',
  tags: ['Runs'],
  summary: 'How many runs there are, in all and in each status',
  description: 'Each run that the filters leave is counted, so it takes longer the more there are.',
  request: { query: runCountQuery },
  responses: { 200: json(runCountsSchema, 'The numbers, of the runs that the filters leave') },
});

runsRouter.openapi(count, async (c) => {
  const counts = await countRuns(c.var.deps.db, c.var.principal.account_id, filterOf(c.req.valid('query')));
  const by_status = Object.fromEntries(runStatus.options.map((status) => [status, counts.get(status) ?? 0]));
  const total = [...counts.values()].reduce((sum, one) => sum + one, 0);
  return c.json({ total, by_status: by_status as z.infer<typeof runCountsSchema>['by_status'] }, 200);
});

function filterOf({ tag: tags, metadata = [], ...filter }: z.infer<typeof runCountQuery>): RunFilter {
  const pairs = metadata.map((pair) => [pair.slice(0, pair.indexOf(':')), pair.slice(pair.indexOf(':') + 1)] as const);
  return { ...filter, tags, metadata: pairs };
}

const get = route({
  method: 'get',
  path: '/{run_id}',
  operationId: 'getRun',
  scope: 'runs:read',
  tags: ['Runs'],
  summary: 'Status, tasks and final output of a run',
  description: 'With `wait` the answer comes when there is something to do, or the run has ended; without, at once.',
  request: {
    params: z.object({ run_id: id }),
    query: z.object({
      live: z.enum(['true', 'false']).optional().meta({
        description:
          "Adds `live`: the workflow's own state, asked of a worker. While an activity plans or makes an attempt, it is a step behind.",
      }),
      ...runWaitQuery(runStatus, 'waiting_human'),
    }),
  },
  responses: { 200: json(runSchema, 'The run') },
  links: { ...runLinks(), ...links({ run_id: '/run_id', task_id: '/waiting_tasks/0' }, 'completeTask') },
  problems: [404],
});

runsRouter.openapi(get, async (c) => {
  const { run_id } = c.req.valid('param');
  const { db, engine, runEvents } = c.var.deps;
  const { live: wantsLive, wait, seen } = c.req.valid('query');
  const read = async () => {
    const run = await findRunView(db, c.var.principal.account_id, run_id);
    if (!run) throw notFound('Run');
    if (wantsLive !== 'true') return sendJson(c, run);
    const live = JSON.stringify((await engine.findLiveState(run_id)) ?? null);
    return sendJson<RunView>(c, `${run.slice(0, -1)},"live":${live}}`);
  };
  if (!wait) return read();
  keepOpen(c);
  if (!(await findRunPlace(db, c.var.principal.account_id, run_id))) throw notFound('Run');
  const holds = stays(seen && [seen]);
  const { signal } = c.req.raw;
  return answerAfter(c, {
    most_ms: wait * 1_000,
    wait: (timeout_ms) => runEvents.waitWhile(run_id, holds, { timeout_ms, signal }),
    answer: read,
  });
});

const cancel = route({
  method: 'delete',
  path: '/{run_id}',
  operationId: 'cancelRun',
  scope: 'runs:write',
  tags: ['Runs'],
  summary: 'Cancel a run that is still active',
  description: 'What its tasks have written until then stays readable. Cancelling is final.',
  request: { params: z.object({ run_id: id }) },
  responses: { 200: json(runCancelledSchema, 'The run is cancelled; calls in flight are being aborted') },
  links: runLinks(),
  problems: [404, 409],
});

runsRouter.openapi(cancel, async (c) => {
  const { run_id } = c.req.valid('param');
  await cancelRun(c.var.deps, c.var.principal, run_id);
  return c.json({ run_id, status: 'cancelled' as const, message: 'Run cancelled.' }, 200);
});
