import { sql, type RawBuilder } from 'kysely';
import { duration, timedOut } from './called-runs.ts';
import type { Db } from './index.ts';

/** How the calls of an account went, by agent and by day, of runs that are not purged. */

export type MetricsFilter = {
  account_id: string;
  days: number;
  /** Without its organisation. */
  name?: string | undefined;
};

/** So many of the newest calls are looked at. */
export const mostMeasured = 5_000;

/** `ended` are those that have completed or failed, in time or not; milliseconds are of these alone, and 0 where there are none. */
export type CallMetrics = {
  calls: number;
  completed: number;
  failed: number;
  timed_out: number;
  p50_ms: number;
  p95_ms: number;
  avg_ms: number;
};

export type AgentMetrics = CallMetrics & {
  agent: string;
  /** Of the newest version that was called. */
  version: string;
  version_id: string;
  /** The most frequent one. */
  error_code: string | null;
  by_key: number;
  by_agent: number;
  replays: number;
};

/** A day (UTC) with calls, as `2026-01-31`. */
export type DayMetrics = CallMetrics & { day: string };

const ofEnded = sql`filter (where status in ('completed', 'failed'))`;

const metrics = sql`
  count(*) as calls, count(*) filter (where status = 'completed') as completed,
  count(*) filter (where status = 'failed' and not is_late) as failed, count(*) filter (where is_late) as timed_out,
  coalesce(percentile_disc(0.5) within group (order by ms) ${ofEnded}, 0) as p50_ms,
  coalesce(percentile_disc(0.95) within group (order by ms) ${ofEnded}, 0) as p95_ms,
  coalesce(round(avg(ms) ${ofEnded}), 0)::bigint as avg_ms`;

function measured({ account_id, days, name }: MetricsFilter): RawBuilder<unknown> {
  const ofName = name === undefined ? sql`` : sql`and split_part(agent, '/', 2) = ${name}`;
  return sql`(
    select agent, agent_calls.version, version_id, parent_run_id, forked_from, status, error_code, agent_calls.created_at,
      ${timedOut} as is_late, coalesce(${duration}, 0) as ms
    from agent_calls join runs using (run_id)
    where agent_calls.account_id = ${account_id} and agent_calls.created_at > now() - make_interval(days => ${days}) ${ofName}
    order by agent_calls.created_at desc limit ${mostMeasured}) as measured`;
}

/** Of all of them together. */
export async function measureCalls(db: Db, filter: MetricsFilter): Promise<CallMetrics> {
  const { rows } = await sql<CallMetrics>`select ${metrics} from ${measured(filter)}`.execute(db);
  return rows[0]!;
}

/** Of each agent; those that were called most come first. */
export async function measureAgents(db: Db, filter: MetricsFilter): Promise<AgentMetrics[]> {
  const newest = sql`order by substr(version, 2)::integer desc`;
  const { rows } = await sql<AgentMetrics>`
    select agent, ${metrics}, (array_agg(version ${newest}))[1] as version, (array_agg(version_id ${newest}))[1] as version_id,
      mode() within group (order by error_code) filter (where status = 'failed') as error_code,
      count(*) filter (where parent_run_id is not null) as by_agent,
      count(*) filter (where parent_run_id is null and forked_from is not null) as replays,
      count(*) filter (where parent_run_id is null and forked_from is null) as by_key
    from ${measured(filter)} group by agent order by calls desc, agent`.execute(db);
  return rows;
}

/** Of each day on which there were any, the first one first. */
export async function measureDays(db: Db, filter: MetricsFilter): Promise<DayMetrics[]> {
  const { rows } = await sql<DayMetrics>`
    select to_char(created_at at time zone 'UTC', 'YYYY-MM-DD') as day, ${metrics} from ${measured(filter)} group by 1 order by 1`.execute(
    db,
  );
  return rows;
}
