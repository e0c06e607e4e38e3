import { countCalls, findCallTexts, listCalls } from '../../../../db/called-runs.ts';
import { listCodeRuns } from '../../../../db/code-runs.ts';
import { findOwnRun } from '../../../../db/runs.ts';
import { agentTaskId } from '../../../../workflows/contract/plan.ts';
import { readOutput } from '../../../calls/output.ts';
import { notFound } from '../../../errors.ts';
import { createRouter, json, links, optionalBody } from '../../../http/openapi.ts';
import { runIdsWithPrefix, uuidOf } from '../../../ids.ts';
import { rerunAgent } from '../../../runs/agent-rerun.ts';
import { nameOf, runDetail, runItem, statesOf, statusOf } from '../call-view.ts';
import { getCall, mostCounted } from '../called-run.ts';
import { operation } from '../operation.ts';
import {
  replayedSchema,
  replaySchema,
  runLogsSchema,
  runParams,
  runSchema,
  runsQuery,
  runsSchema,
} from '../schemas/called-run.ts';
import { requireWorkspace } from '../workspace.ts';

/** Calls of agents as runs of a workspace. */
export const calledRunsRouter = createRouter();

const tags = ['orchagent runs'];

function runLinks(run_id: string, workspace_id: string) {
  const names = ['getCalledRun', 'getCalledRunLogs', 'getCalledRunTrace', 'getCallChain', 'replayRun'];
  return links({ workspace_id, run_id }, ...names);
}

const list = operation({
  method: 'get',
  path: '/{workspace_id}/runs',
  operationId: 'listCalledRuns',
  scope: 'runs:read',
  tags,
  summary: 'List runs, newest first',
  description:
    'Calls of agents over this API, by keys and by other agents, and runs that do them again. Runs that were started over the other APIs are there.',
  request: { params: runParams.pick({ workspace_id: true }), query: runsQuery },
  responses: { 200: json(runsSchema, 'The newest runs, and how many there are') },
  problems: [404],
});

calledRunsRouter.openapi(list, async (c) => {
  requireWorkspace(c.var.principal, c.req.valid('param').workspace_id);
  const { agent_name, status, run_id_prefix, limit } = c.req.valid('query');
  const { db } = c.var.deps;
  const { account_id } = c.var.principal;
  const run_ids = run_id_prefix && runIdsWithPrefix(run_id_prefix.replace(/^req_/i, ''));
  // No run has such an id.
  if (run_id_prefix && !run_ids) return c.json({ runs: [], total: 0 }, 200);
  const filter = {
    ...(agent_name?.includes('/') ? { agent: agent_name } : { name: agent_name }),
    states: statesOf(status),
    run_ids: run_ids || undefined,
  };
  const runs = await listCalls(db, account_id, filter, { limit });
  return c.json({ runs: runs.map(runItem), total: await countCalls(db, account_id, filter, mostCounted) }, 200);
});

const get = operation({
  method: 'get',
  path: '/{workspace_id}/runs/{run_id}',
  operationId: 'getCalledRun',
  scope: 'runs:read',
  tags,
  summary: 'Get a run',
  description: 'A call of an agent, by its UUID.',
  request: { params: runParams },
  responses: { 200: json(runSchema, 'The run, bare') },
  links: runLinks('/id', '/workspace_id'),
  problems: [404],
});

calledRunsRouter.openapi(get, async (c) => {
  const call = await getCall(c.var, c.req.valid('param'));
  return c.json(runDetail(call, uuidOf(c.var.principal.account_id)), 200);
});

const logs = operation({
  method: 'get',
  path: '/{workspace_id}/runs/{run_id}/logs',
  operationId: 'getCalledRunLogs',
  scope: 'runs:read',
  tags,
  summary: 'What went into a run and came out of it',
  description: 'Its input and output, and, where code was run, what that has printed.',
  request: { params: runParams },
  responses: { 200: json(runLogsSchema, 'The logs') },
  problems: [404],
});

calledRunsRouter.openapi(logs, async (c) => {
  const call = await getCall(c.var, c.req.valid('param'));
  const { db } = c.var.deps;
  const { input, output } = await findCallTexts(db, call.run_id);
  const code = (await listCodeRuns(db, call.run_id)).at(-1);
  return c.json(
    {
      run_id: uuidOf(call.run_id),
      agent_name: nameOf(call),
      agent_version: call.version,
      run_status: statusOf(call),
      error_message: call.error,
      input_data: inputOf(input),
      output_data: output === null ? null : readOutput(output).data,
      has_execution_log: code !== undefined,
      stdout: code?.stdout ?? null,
      stderr: code?.stderr ?? null,
      exit_code: code?.exit_code ?? null,
      execution_time_ms: code?.wall_ms ?? call.duration_ms,
    },
    200,
  );
});

/** As it was sent: JSON, whatever wrote it down. */
function inputOf(input: string | null): unknown {
  try {
    return input === null ? null : JSON.parse(input);
  } catch {
    return input;
  }
}

const replay = operation({
  method: 'post',
  path: '/{workspace_id}/runs/{run_id}/replay',
  operationId: 'replayRun',
  scope: 'runs:write',
  tags,
  summary: 'Do a run again, with the same input',
  description:
    'A new run, of the agent as it was then, whatever has become of it; also where another agent had called it. A key of a model that came with the ' +
    'call is forgotten: what it was asked with then is asked for among your providers. Poll the run until it has ended.',
  request: { params: runParams, body: optionalBody(replaySchema) },
  responses: { 201: json(replayedSchema, 'The new run is accepted and will not be lost') },
  problems: [402, 404, 409],
});

calledRunsRouter.openapi(replay, async (c) => {
  const call = await getCall(c.var, c.req.valid('param'));
  const { deps, principal, idempotency } = c.var;
  const { reason } = c.req.valid('json');
  const source = await findOwnRun(deps.db, principal.account_id, call.run_id);
  if (!source) throw notFound('Run');
  const again = { origin: 'orchagent' as const, from_task: agentTaskId, edits: {}, ...(reason && { note: reason }) };
  const run_id = await rerunAgent(deps, principal, source, again, idempotency);
  const id = uuidOf(run_id);
  return c.json({ run_id: id, job_id: id, replay_of_run_id: uuidOf(source.run_id), status: 'queued' as const }, 201);
});
