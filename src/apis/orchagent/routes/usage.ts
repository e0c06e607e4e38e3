import type { z } from 'zod';
import { listCalls } from '../../../../db/called-runs.ts';
import {
  namesOfKeys,
  sumCompute,
  sumComputeByVersion,
  sumUsage,
  sumUsageBy,
  sumUsageOverTime,
  type ComputeSums,
  type GroupKey,
  type UsageFilter,
  type UsageSums,
} from '../../../../db/usage.ts';
import { InvalidInputError } from '../../../errors.ts';
import { pageOf, readTimeCursor } from '../../../http/cursor.ts';
import { createRouter, json, links } from '../../../http/openapi.ts';
import type { Principal } from '../../../accounts/principal.ts';
import { logLine, statesOf } from '../call-view.ts';
import { operation } from '../operation.ts';
import { ofPoints, ofSummaries, periodOf, unitsOf, type Period } from '../period.ts';
import {
  breakdownQuery,
  breakdownSchema,
  computeQuery,
  computeSchema,
  timeseriesQuery,
  timeseriesSchema,
  usageLogsQuery,
  usageLogsSchema,
  usageQuery,
  usageSchema,
} from '../schemas/usage.ts';

/** What calls of agents have come to. */
export const usageRouter = createRouter();

const tags = ['orchagent usage'];

const counted =
  'Each call, and each that an agent makes of another, counts once, in the hour in which it was made, with all that its run has paid; so ' +
  'also when it failed, was tried again, or is purged.';

type Asked = { from?: string; to?: string; calls: Whose; agent?: string; version?: string; tenant?: string };
type Whose = 'own' | 'by_others';

/** Throws `InvalidInputError` for what authors are not told. */
function filterOf({ account_id }: Principal, { calls, agent, version, tenant }: Asked, period: Period): UsageFilter {
  const side = calls === 'own' ? 'caller' : 'author';
  if (calls === 'by_others' && tenant !== undefined) throw hidden('tenant', 'is not told of calls of others');
  return { account_id, side, ...period, agent, version, tenant };
}

function hidden(parameter: string, detail: string): InvalidInputError {
  return new InvalidInputError([{ path: [parameter], detail }]);
}

function countsOf({ calls, succeeded, failed, cancelled, duration_ms }: UsageSums) {
  const ended = succeeded + failed + cancelled;
  const avg_duration_ms = ended > 0 ? Math.round(duration_ms / ended) : null;
  return { calls, succeeded, failed, cancelled, unfinished: calls - ended, avg_duration_ms };
}

function paidOf({ llm_calls, input_tokens, output_tokens, cost_usd }: UsageSums) {
  return { llm_calls, tokens: { input: input_tokens, output: output_tokens }, cost_usd };
}

/** Authors are told how calls went, and not what they cost who calls. */
function sumsOf(sums: UsageSums, whose: Whose) {
  return { ...countsOf(sums), ...(whose === 'own' && paidOf(sums)) };
}

const summary = operation({
  method: 'get',
  path: '/',
  operationId: 'getUsage',
  scope: 'runs:read',
  tags,
  summary: 'Your usage summary',
  description: `${counted} Whole hours (UTC), 366 days at most.`,
  request: { query: usageQuery },
  responses: { 200: json(usageSchema, 'The sums') },
});

usageRouter.openapi(summary, async (c) => {
  const { by, ...asked } = c.req.valid('query');
  const { deps, principal } = c.var;
  const of = asked.calls;
  if (by && of === 'by_others') throw hidden('by', 'is not told of calls of others');
  const period = periodOf(asked, ofSummaries);
  const filter = filterOf(principal, asked, period);
  const all = sumsOf(await sumUsage(deps.db, filter), of);
  if (!by) return c.json({ ...period, of, ...all }, 200);
  const parts = (await sumUsageBy(deps.db, filter, 'tenant', 100)).filter(({ key }) => key !== null);
  const tenants = parts.map(({ key, ...sums }) => ({ tenant: key!.tenant ?? null, ...sumsOf(sums, of) }));
  return c.json({ ...period, of, ...all, tenants }, 200);
});

const timeseries = operation({
  method: 'get',
  path: '/timeseries',
  operationId: 'getUsageTimeseries',
  scope: 'runs:read',
  tags,
  summary: 'Usage over time',
  description: `${counted} By the hour, of 31 days at most, or by the day (UTC), of 366; also those in which there was nothing.`,
  request: { query: timeseriesQuery },
  responses: { 200: json(timeseriesSchema, 'A point for each hour, or day') },
});

const none: UsageSums = {
  calls: 0,
  succeeded: 0,
  failed: 0,
  cancelled: 0,
  duration_ms: 0,
  llm_calls: 0,
  input_tokens: 0,
  output_tokens: 0,
  cost_usd: 0,
};

usageRouter.openapi(timeseries, async (c) => {
  const { interval, ...asked } = c.req.valid('query');
  const { deps, principal } = c.var;
  const of = asked.calls;
  const period = periodOf(asked, ofPoints[interval]);
  const found = await sumUsageOverTime(deps.db, filterOf(principal, asked, period), interval);
  const byTime = new Map(found.map((sums) => [sums.at, sums]));
  const points = unitsOf(period, ofPoints[interval]).map((at) => ({ at, ...sumsOf(byTime.get(at) ?? none, of) }));
  return c.json({ ...period, of, interval, timezone: 'UTC' as const, points }, 200);
});

const breakdown = operation({
  method: 'get',
  path: '/breakdown',
  operationId: 'getUsageBreakdown',
  scope: 'runs:read',
  tags,
  summary: 'Usage by agent, version, tenant, model or key',
  description:
    `${counted} What has cost most comes first. The parts, with \`rest\`, are the whole. By model there are the calls of models alone, and not ` +
    'those of agents. Of calls by others there are agents and versions alone.',
  request: { query: breakdownQuery },
  responses: { 200: json(breakdownSchema, 'The parts') },
});

usageRouter.openapi(breakdown, async (c) => {
  const { by, limit, ...asked } = c.req.valid('query');
  const { deps, principal } = c.var;
  const of = asked.calls;
  if (of === 'by_others' && by !== 'agent' && by !== 'version') throw hidden('by', 'is not told of calls of others');
  const period = periodOf(asked, ofSummaries);
  const found = await sumUsageBy(deps.db, filterOf(principal, asked, period), by, limit);
  const keyIds = found.flatMap(({ key }) => key?.key_id ?? []);
  const names = await namesOfKeys(deps.db, principal.account_id, keyIds);
  const show = (sums: UsageSums) => (by === 'model' ? paidOf(sums) : sumsOf(sums, of));
  const parts = found.flatMap(({ key, ...sums }) => (key ? [{ ...partOf(key, names), ...show(sums) }] : []));
  const rest = found.find(({ key }) => key === null);
  return c.json({ ...period, of, by, breakdown: parts, rest: rest ? show(rest) : null }, 200);
});

function partOf({ vendor, key_id, ...key }: GroupKey, names: Map<string, string>) {
  return {
    ...key,
    ...(vendor !== undefined && { provider: vendor }),
    ...(key_id !== undefined && { key_id, name: names.get(key_id) ?? null }),
  };
}

const compute = operation({
  method: 'get',
  path: '/compute',
  operationId: 'getComputeUsage',
  scope: 'runs:read',
  tags,
  summary: 'What the sandbox has done for your calls',
  description:
    'Code that was run: how often, how long, and how long processors were at it. A try counts in the hour of the call that it was for; its time is ' +
    'known when it has ended. Whole hours (UTC), 366 days at most.',
  request: { query: computeQuery },
  responses: { 200: json(computeSchema, 'The sums, and those of each version') },
});

function computeToWire({ runs, wall_ms, cpu_ms }: ComputeSums) {
  return { runs, wall_seconds: wall_ms / 1_000, cpu_seconds: cpu_ms / 1_000 };
}

usageRouter.openapi(compute, async (c) => {
  const { limit, ...asked } = c.req.valid('query');
  const { db } = c.var.deps;
  const period = periodOf(asked, ofSummaries);
  const filter = filterOf(c.var.principal, { ...asked, calls: 'own' }, period);
  const found = await sumComputeByVersion(db, filter, limit);
  const agents = found.flatMap(({ key, ...sums }) =>
    key ? [{ agent: key.agent!, version: key.version!, ...computeToWire(sums) }] : [],
  );
  const rest = found.find(({ key }) => key === null);
  const all = computeToWire(await sumCompute(db, filter));
  return c.json({ ...period, ...all, agents, rest: rest ? computeToWire(rest) : null }, 200);
});

const logs = operation({
  method: 'get',
  path: '/logs',
  operationId: 'getUsageLogs',
  scope: 'runs:read',
  tags,
  summary: 'Detailed call logs, newest first',
  description:
    'Each call that you have made and that is not purged, without what was said in it. Pass `next_cursor` as `cursor`, with the same filters, for ' +
    'the page after this one.',
  request: { query: usageLogsQuery },
  responses: { 200: json(usageLogsSchema, 'A page of calls') },
  links: links({ cursor: '/next_cursor' }, 'getUsageLogs'),
});

usageRouter.openapi(logs, async (c) => {
  const { limit, cursor, status, ...filter } = c.req.valid('query');
  const after = cursor === undefined ? undefined : readTimeCursor(cursor);
  const found = await listCalls(
    c.var.deps.db,
    c.var.principal.account_id,
    { ...filter, states: statesOf(status) },
    { limit: limit + 1, after },
  );
  const { items, ...rest } = pageOf(found, limit, ({ run_id }) => run_id);
  return c.json({ logs: items.map(logLine), ...rest } satisfies z.infer<typeof usageLogsSchema>, 200);
});
