import { z } from 'zod';
import { isLedByOthers } from '../../../../db/call-chains.ts';
import { listChain } from '../../../../db/called-runs.ts';
import { pageOfTrace } from '../../../../db/run-traces.ts';
import { notFound } from '../../../errors.ts';
import { createRouter, json, links } from '../../../http/openapi.ts';
import { uuidOf } from '../../../ids.ts';
import { statusOf } from '../call-view.ts';
import { getCall } from '../called-run.ts';
import { chainToWire, fromOn } from '../chain-view.ts';
import { operation } from '../operation.ts';
import { dagSchema, runParams, traceEventsQuery, traceEventsSchema, traceSchema } from '../schemas/called-run.ts';
import { eventOfTrace } from '../trace-view.ts';

/** What calls have done, and whom they have called. */
export const tracesRouter = createRouter();

const tags = ['orchagent runs'];

const trace = operation({
  method: 'get',
  path: '/{workspace_id}/runs/{run_id}/trace',
  operationId: 'getCalledRunTrace',
  scope: 'runs:read',
  tags,
  summary: 'The trace of a run',
  description: 'Its events are in `/workspaces/{workspace_id}/traces/{trace_id}/events`.',
  request: { params: runParams },
  responses: { 200: json(traceSchema, 'The trace, without its events') },
  links: links({ workspace_id: '/trace/workspace_id', trace_id: '/trace/id' }, 'getTraceEvents'),
  problems: [404],
});

tracesRouter.openapi(trace, async (c) => {
  const call = await getCall(c.var, c.req.valid('param'));
  const id = uuidOf(call.run_id);
  const workspace_id = uuidOf(c.var.principal.account_id);
  const { created_at, completed_at } = call;
  return c.json({ trace: { id, run_id: id, workspace_id, status: statusOf(call), created_at, completed_at } }, 200);
});

const traceEvents = operation({
  method: 'get',
  path: '/{workspace_id}/traces/{trace_id}/events',
  operationId: 'getTraceEvents',
  scope: 'runs:read',
  tags,
  summary: 'What a run has done, in order',
  description:
    'Calls of models and tools, decisions of people, and what was tried again. The first 5,000 of them are kept in order.',
  request: {
    params: z.object({ workspace_id: runParams.shape.workspace_id, trace_id: runParams.shape.run_id }),
    query: traceEventsQuery,
  },
  responses: { 200: json(traceEventsSchema, 'A page of events') },
  problems: [404],
});

tracesRouter.openapi(traceEvents, async (c) => {
  const { workspace_id, trace_id } = c.req.valid('param');
  const call = await getCall(c.var, { workspace_id, run_id: trace_id }, 'Trace');
  const page = c.req.valid('query');
  const { entries, total } = await pageOfTrace(c.var.deps.db, call.run_id, page);
  const id = uuidOf(call.run_id);
  const end = page.offset + entries.length;
  return c.json(
    {
      events: entries.map((entry, at) => eventOfTrace(entry, id, page.offset + at + 1)),
      total,
      cursor: String(page.offset),
      next_cursor: end < total && entries.length > 0 ? String(end) : null,
    },
    200,
  );
});

const dag = operation({
  method: 'get',
  path: '/{workspace_id}/runs/{run_id}/dag',
  operationId: 'getCallChain',
  scope: 'runs:read',
  tags,
  summary: 'Agents that have called each other',
  description:
    'The whole chain that a run is in, from its first call on, at most 1,000 of them; where that one is purged, from this run on. Each has its own ' +
    'cost, which is in no other.',
  request: { params: runParams },
  responses: { 200: json(dagSchema, 'The chain, as a tree') },
  problems: [404],
});

tracesRouter.openapi(dag, async (c) => {
  const call = await getCall(c.var, c.req.valid('param'));
  const { deps, principal } = c.var;
  const all = await listChain(deps.db, principal.account_id, call.root_run_id);
  const own = principal.run_id;
  const calls = own && (await isLedByOthers(deps.db, own)) ? fromOn(all, own) : all;
  if (calls.length === 0) throw notFound('Run');
  return c.json(chainToWire(calls, call.run_id) as z.infer<typeof dagSchema>, 200);
});
