import {
  measureAgents,
  measureCalls,
  measureDays,
  type AgentMetrics,
  type CallMetrics,
} from '../../../../db/call-metrics.ts';
import type { ErrorCode as RunErrorCode } from '../../../../workflows/contract/error-codes.ts';
import { createRouter, json } from '../../../http/openapi.ts';
import { surfaceCode } from '../call-answer.ts';
import { nameOf } from '../call-view.ts';
import { operation } from '../operation.ts';
import { runParams } from '../schemas/called-run.ts';
import { metricsQuery, metricsSchema } from '../schemas/metrics.ts';
import { requireWorkspace } from '../workspace.ts';

/** How calls of agents went. */
export const metricsRouter = createRouter();

const mostAgents = 100;

const dashboard = operation({
  method: 'get',
  path: '/{workspace_id}/metrics/dashboard',
  operationId: 'getCallMetrics',
  scope: 'runs:read',
  tags: ['orchagent usage'],
  summary: 'How calls of agents went: how many, how fast, and what failed',
  description:
    'Of the newest 5,000 calls of the period whose runs are not purged. What they have cost, exactly and of all, is in `/usage`.',
  request: { params: runParams.pick({ workspace_id: true }), query: metricsQuery },
  responses: { 200: json(metricsSchema, 'The figures, in all, by agent and by day') },
  problems: [404],
});

metricsRouter.openapi(dashboard, async (c) => {
  const { db } = c.var.deps;
  const { account_id } = c.var.principal;
  requireWorkspace(c.var.principal, c.req.valid('param').workspace_id);
  const { days, agent_name: name } = c.req.valid('query');
  const filter = { account_id, days, name };
  const [all, agents, series] = await Promise.all([
    measureCalls(db, filter),
    measureAgents(db, filter),
    measureDays(db, filter),
  ]);
  return c.json(
    {
      overview: { ...figuresOf(all), runs_per_day: tenths(all.calls / days) },
      agents: agents.slice(0, mostAgents).map(agentToWire),
      daily_series: series.map((one) => ({ date: one.day, ...figuresOf(one) })),
      period: `${days}d`,
      total_agents: agents.length,
    },
    200,
  );
});

function agentToWire(one: AgentMetrics) {
  const { agent, version, version_id, error_code, by_key, by_agent, replays } = one;
  return {
    agent_name: nameOf(one),
    agent,
    agent_id: version_id,
    latest_version: version,
    ...figuresOf(one),
    top_error: error_code && surfaceCode(error_code as RunErrorCode),
    trigger_sources: { api: by_key, agent: by_agent, replay: replays },
  };
}

function figuresOf({ calls, completed, failed, timed_out, p50_ms, p95_ms, avg_ms }: CallMetrics) {
  const ended = completed + failed + timed_out;
  const rateOf = (part: number) => (ended > 0 ? tenths((100 * part) / ended) : 0);
  return {
    total_runs: calls,
    completed,
    failed,
    timeout: timed_out,
    success_rate: rateOf(completed),
    error_rate: rateOf(failed + timed_out),
    p50_latency_ms: p50_ms,
    p95_latency_ms: p95_ms,
    avg_latency_ms: avg_ms,
  };
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}
