import { z } from 'zod';
import { listOrchestrationRuns } from '../../../../db/orchestration-run-views.ts';
import { isOrchestrationRun } from '../../../../db/orchestration-runs.ts';
import { notFound } from '../../../errors.ts';
import { requireRead } from '../../../http/limit-unread.ts';
import { waitInRow } from '../../../http/row.ts';
import { createRouter, json, route } from '../../../http/openapi.ts';
import { sendLongJson } from '../../../http/send-json.ts';
import { readRun } from '../../../http/read-run.ts';
import { cancelRun } from '../../../runs/cancel.ts';
import { remarkShape } from '../../../runs/remark-schema.ts';
import { orchestrationRunLinks } from '../links.ts';
import { readOrchestrationRun } from '../read-run.ts';
import { runToWire, statusesOf, wireStatus } from '../run-view.ts';
import {
  orchestrationRunCancelledSchema,
  orchestrationRunListSchema,
  orchestrationRunSchema,
  runListQuery,
  runParams,
  untilQuery,
} from '../schemas/run.ts';

/** Runs that were started before: to be read, and cancelled. */
export const startedRunsRouter = createRouter();

const tags = ['Orchestration runs'];

const list = route({
  method: 'get',
  path: '/runs',
  operationId: 'listOrchestrationRuns',
  scope: 'runs:read',
  tags,
  summary: 'The newest runs of orchestrations',
  description: 'At most `limit` of them. `GET /api/v1/runs` has them too, page by page.',
  request: { query: runListQuery },
  responses: { 200: json(orchestrationRunListSchema, 'The runs') },
  links: orchestrationRunLinks('/runs/0/run_id'),
});

startedRunsRouter.openapi(list, async (c) => {
  const { status, ...page } = c.req.valid('query');
  const runs = await listOrchestrationRuns(c.var.deps.db, c.var.principal.account_id, {
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
  operationId: 'getOrchestrationRun',
  scope: 'runs:read',
  tags,
  summary: 'A run of an orchestration: its state, its steps, and what it waits for',
  description: '`waiting` has all that people are asked for now; `human_input_required` is the first of them.',
  request: { params: runParams, query: untilQuery },
  responses: { 200: json(orchestrationRunSchema, 'The run') },
  links: orchestrationRunLinks(),
  problems: [404],
});

startedRunsRouter.openapi(get, async (c) => {
  const { run_id } = c.req.valid('param');
  const { wait, seen } = c.req.valid('query');
  const { db } = c.var.deps;
  const read = async () => {
    const found = await readOrchestrationRun(db, c.var.principal.account_id, run_id, {
      enter: (turns, account_id) => waitInRow(c, turns, account_id),
      mayRead: () => requireRead(c),
    });
    if (!found) throw notFound('Run');
    return sendLongJson(c, runToWire(found));
  };
  const isThere = () => isOrchestrationRun(db, c.var.principal.account_id, run_id);
  return readRun(c, run_id, { wait, seen: seen && statusesOf(seen) }, { isThere, read });
});

const cancel = route({
  method: 'post',
  path: '/runs/{run_id}/cancel',
  operationId: 'cancelOrchestrationRun',
  scope: 'runs:write',
  tags,
  summary: 'Cancel a run that is still active',
  description: 'What its steps have written until then stays readable.',
  request: { params: runParams, query: z.object(remarkShape) },
  responses: { 200: json(orchestrationRunCancelledSchema, 'The run is cancelled; calls in flight are being aborted') },
  links: orchestrationRunLinks(),
  problems: [404, 409],
});

startedRunsRouter.openapi(cancel, async (c) => {
  const { run_id } = c.req.valid('param');
  const { deps, principal } = c.var;
  if (!(await isOrchestrationRun(deps.db, principal.account_id, run_id))) throw notFound('Run');
  await cancelRun(deps, principal, run_id, c.req.valid('query'));
  return c.json({ run_id, status: 'cancelled' as const, message: 'Run cancelled.' }, 200);
});
