import { z } from 'zod';
import { listRunSummaries, type RunFilter } from '../../../../db/run-lists.ts';
import { findRunPlace } from '../../../../db/run-events.ts';
import { findRunResult, type RunResult } from '../../../../db/run-results.ts';
import { findTrace } from '../../../../db/run-traces.ts';
import { hasEnded } from '../../../../workflows/contract/states.ts';
import { sha256 } from '../../../crypto.ts';
import { notFound } from '../../../errors.ts';
import { id } from '../../../fields.ts';
import { pageAsked, pageOf, readNumberCursor, readTimeCursor } from '../../../http/cursor.ts';
import { ifMatchHeader, requireMatch, setETag, versionsOfIfMatch } from '../../../http/entity-tags.ts';
import { pickFields } from '../../../http/fieldset.ts';
import { createRouter, json, links, optionalBody, route } from '../../../http/openapi.ts';
import { sendJson } from '../../../http/send-json.ts';
import { runWaitQuery } from '../../../http/query.ts';
import { readRun } from '../../../http/read-run.ts';
import { cancelRun } from '../../../runs/cancel.ts';
import { changeRun } from '../../../runs/change.ts';
import { labelsOf } from '../../../runs/labels-schema.ts';
import { purgeRun } from '../../../runs/purge.ts';
import { remarkShape } from '../../../runs/remark-schema.ts';
import { runLinks } from '../links.ts';
import { kindOf, runToWire, summaryToWire } from '../run-view.ts';
import {
  changedRunSchema,
  changeRunSchema,
  runDeletedSchema,
  runListQuery,
  runListSchema,
  runSchema,
  runStatus,
} from '../schemas/run.ts';

export const runsRouter = createRouter();

const tags = ['OrchStack runs'];
const params = z.object({ run_id: id });

const list = route({
  method: 'get',
  path: '/',
  operationId: 'orchstackListRuns',
  scope: 'runs:read',
  tags,
  summary: 'List all runs with filters, newest first unless `sort` says otherwise',
  description:
    'Runs of all kinds, over whichever API they were started. Pass `next_cursor` as `cursor`, with the same filters and `sort`, for the ' +
    'page after this one.',
  request: { query: runListQuery },
  responses: { 200: json(runListSchema, 'A page of runs') },
  links: { ...runLinks('/runs/0/run_id'), ...links({ cursor: '/next_cursor' }, 'orchstackListRuns') },
});

runsRouter.openapi(list, async (c) => {
  const { limit, cursor, sort, fields, ...filter } = c.req.valid('query');
  const by = sort.endsWith('cost_usd') ? 'cost_usd' : 'created_at';
  const read = by === 'cost_usd' ? readNumberCursor : readTimeCursor;
  const page = { sort: by, ...pageAsked<string | number>({ limit, cursor, sort }, read) } as const;
  const found = await listRunSummaries(c.var.deps.db, c.var.principal.account_id, filterOf(filter), page);
  const { items, ...rest } = pageOf(
    found,
    limit,
    ({ run_id }) => run_id,
    (run) => run[by],
  );
  return c.json({ runs: items.map((run) => pickFields(summaryToWire(run), 'run_id', fields)), ...rest }, 200);
});

type Filter = Omit<z.infer<typeof runListQuery>, 'limit' | 'cursor' | 'sort' | 'fields'>;

function filterOf({ kind, workflow_id, tag, metadata, ...filter }: Filter): RunFilter {
  return {
    ...filter,
    ...labelsOf({ tag, metadata }),
    ...(kind && { kind: kindOf(kind) }),
    ...(workflow_id !== undefined && { orchestration_id: workflow_id }),
  };
}

const get = route({
  method: 'get',
  path: '/{run_id}',
  operationId: 'orchstackGetRun',
  scope: 'runs:read',
  tags,
  summary: 'Get run details and trace',
  description:
    'The trace has every model call, tool call, retrieval, gate and retry in order, with times, tokens, cost, and what it came from: ' +
    '`task_id` and `attempt`, of a tool call its `model_call_id` and the gate at which it was approved. With `wait` the answer comes when ' +
    'there is something to do, or the run has ended; without, at once. `ETag` is of `metadata` and `tags`; an answer that had to begin ' +
    'before it was there has none.',
  request: { params, query: z.object(runWaitQuery(runStatus, 'waiting_human')) },
  responses: { 200: json(runSchema, 'The run') },
  links: {
    ...runLinks(),
    ...links({ run_id: '/run_id', gate_id: '/gates/0/gate_id' }, 'orchstackAnswerGate'),
  },
  problems: [404],
});

runsRouter.openapi(get, async (c) => {
  const { run_id } = c.req.valid('param');
  const { wait, seen } = c.req.valid('query');
  const { db } = c.var.deps;
  const { account_id } = c.var.principal;
  const read = async () => {
    const run = await findRunResult(db, account_id, run_id);
    if (!run) throw notFound('Run');
    setETag(c, labelsVersionOf(run));
    const trace = await findTrace(db, run_id);
    return sendJson<z.infer<typeof runSchema>>(c, `${JSON.stringify(runToWire(run)).slice(0, -1)},"trace":${trace}}`);
  };
  const isThere = async () => (await findRunPlace(db, account_id, run_id)) !== undefined;
  return readRun(c, run_id, { wait, seen: seen && [seen] }, { isThere, read });
});

const change = route({
  method: 'patch',
  path: '/{run_id}',
  operationId: 'orchstackUpdateRun',
  scope: 'runs:write',
  tags,
  summary: 'Change the labels of a run; what is not given stays',
  description: '`metadata` and `tags` come in place of all that it had. A run that has ended takes them too.',
  request: { params, headers: ifMatchHeader, body: optionalBody(changeRunSchema) },
  responses: { 200: json(changedRunSchema, 'The run as it is now, without its trace') },
  links: runLinks(),
  problems: [404, 412],
});

runsRouter.openapi(change, async (c) => {
  const { run_id } = c.req.valid('param');
  const { note, on_behalf_of, ...labels } = c.req.valid('json');
  const { deps, principal } = c.var;
  const seen = versionsOfIfMatch(c);
  const check = (run: Labels) => requireMatch(seen, labelsVersionOf(run), 'run');
  await changeRun(deps, principal, run_id, labels, { note, on_behalf_of }, check);
  const run = await findRunResult(deps.db, principal.account_id, run_id);
  if (!run) throw notFound('Run');
  setETag(c, labelsVersionOf(run));
  return c.json(summaryToWire(run), 200);
});

type Labels = Pick<RunResult, 'metadata' | 'tags'>;

/** What clients change of a run is its version; that it goes on is none. */
function labelsVersionOf({ metadata, tags }: Labels): string {
  return sha256(JSON.stringify([metadata, tags]));
}

const remove = route({
  method: 'delete',
  path: '/{run_id}',
  operationId: 'orchstackDeleteRun',
  scope: 'runs:write',
  tags,
  summary: 'Cancel a run that is still active; purge one that has ended',
  description:
    'A run that is active is cancelled, and stays readable with what it has written until then. One that has ended, also one that was ' +
    'cancelled before, is forgotten with all that it has. `purge` says which of the two is meant, so that a request that is sent twice, or ' +
    'comes too late, does not do the other: it is 409 then.',
  request: {
    params,
    query: z.object({
      purge: z.enum(['true', 'false']).optional().meta({
        description: '`false`: the run is cancelled, or nothing is done. `true`: it is purged, or nothing is done.',
      }),
      ...remarkShape,
    }),
  },
  responses: { 200: json(runDeletedSchema, 'The run is cancelled, or it is not found any more') },
  problems: [404, 409],
});

runsRouter.openapi(remove, async (c) => {
  const { run_id } = c.req.valid('param');
  const { deps, principal } = c.var;
  const { purge, ...remark } = c.req.valid('query');
  const place = await findRunPlace(deps.db, principal.account_id, run_id);
  if (!place) throw notFound('Run');
  // It may have ended by the first try of this very request: what has done that is not to purge it.
  const mayPurge = purge === undefined ? !c.var.idempotency?.isRetry && hasEnded(place.status) : purge === 'true';
  if (mayPurge) {
    await purgeRun(deps, principal, run_id);
    c.set('tellsNothingOfRun', true);
    return c.json({ run_id, status: 'purged' as const, message: 'Run purged.' }, 200);
  }
  await cancelRun(deps, principal, run_id, remark);
  return c.json({ run_id, status: 'cancelled' as const, message: 'Run cancelled.' }, 200);
});
