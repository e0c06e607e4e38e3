import { z } from 'zod';
import { findRunPlace } from '../../../../db/run-events.ts';
import { countRuns, listRuns, type RunFilter } from '../../../../db/run-lists.ts';
import { findRunView, type RunView } from '../../../../db/run-views.ts';
import { notFound } from '../../../errors.ts';
import { id } from '../../../fields.ts';
import { pageAsked, pageOf, readNumberCursor, readTimeCursor } from '../../../http/cursor.ts';
import { createRouter, json, links, route } from '../../../http/openapi.ts';
import { sendJson } from '../../../http/send-json.ts';
import { runWaitQuery } from '../../../http/query.ts';
import { readRun } from '../../../http/read-run.ts';
import { cancelRun } from '../../../runs/cancel.ts';
import { purgeRun } from '../../../runs/purge.ts';
import { labelsOf } from '../../../runs/labels-schema.ts';
import { remarkShape } from '../../../runs/remark-schema.ts';
import { runLinks } from '../links.ts';
import { runCountQuery, runCountsSchema, runListQuery, runListSchema } from '../schemas/run-list.ts';
import { runCancelledSchema, runSchema, runStatus } from '../schemas/run.ts';

export const runsRouter = createRouter();

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
  const by = sort.endsWith('cost_usd') ? 'cost_usd' : 'created_at';
  const read = by === 'cost_usd' ? readNumberCursor : readTimeCursor;
  const page = { sort: by, ...pageAsked<string | number>({ limit, cursor, sort }, read) } as const;
  const found = await listRuns(c.var.deps.db, c.var.principal.account_id, filterOf(filter), page);
  const { items: runs, ...rest } = pageOf(
    found,
    limit,
    ({ run_id }) => run_id,
    (run) => run[by],
  );
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

function filterOf({ tag, metadata, ...filter }: z.infer<typeof runCountQuery>): RunFilter {
  return { ...filter, ...labelsOf({ tag, metadata }) };
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
  const { db, engine } = c.var.deps;
  const { live: wantsLive, wait, seen } = c.req.valid('query');
  const read = async () => {
    const run = await findRunView(db, c.var.principal.account_id, run_id);
    if (!run) throw notFound('Run');
    if (wantsLive !== 'true') return sendJson(c, run);
    const live = JSON.stringify((await engine.findLiveState(run_id)) ?? null);
    return sendJson<RunView>(c, `${run.slice(0, -1)},"live":${live}}`);
  };
  const isThere = async () => (await findRunPlace(db, c.var.principal.account_id, run_id)) !== undefined;
  return readRun(c, run_id, { wait, seen: seen && [seen] }, { isThere, read });
});

const cancel = route({
  method: 'delete',
  path: '/{run_id}',
  operationId: 'cancelRun',
  scope: 'runs:write',
  tags: ['Runs'],
  summary: 'Cancel a run that is still active, or purge one that has ended',
  description:
    'What its tasks have written until it is cancelled stays readable. Cancelling is final.\n\n' +
    'With `purge=true` a run that has ended, also one of an orchestration, is forgotten: it and all that it has are ' +
    'deleted, and it is not found any more. What was used and spent stays counted, and webhooks that are on their way are sent.',
  request: {
    params: z.object({ run_id: id }),
    query: z.object({
      purge: z.enum(['true', 'false']).optional().meta({ description: 'Purges the run, in place of cancelling it.' }),
      ...remarkShape,
    }),
  },
  responses: {
    200: json(runCancelledSchema, 'The run is cancelled, and calls in flight are being aborted; or it is purged'),
  },
  links: runLinks(),
  problems: [404, 409],
});

runsRouter.openapi(cancel, async (c) => {
  const { run_id } = c.req.valid('param');
  const { purge, ...remark } = c.req.valid('query');
  if (purge === 'true') {
    await purgeRun(c.var.deps, c.var.principal, run_id);
    return c.json({ run_id, status: 'purged' as const, message: 'Run purged.' }, 200);
  }
  await cancelRun(c.var.deps, c.var.principal, run_id, remark);
  return c.json({ run_id, status: 'cancelled' as const, message: 'Run cancelled.' }, 200);
});
