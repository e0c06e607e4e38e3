import { sql, type SqlBool } from 'kysely';
import type { Db } from './index.ts';
import { briefSpec, isGone, offeredVersions, type OfferedVersion } from './published-agents.ts';
import type { PackageType } from './schema.ts';

/** What anybody may know of public agents. */

export type PublicFilter = {
  search?: string | undefined;
  tags?: string[] | undefined;
  type?: PackageType | undefined;
  sort: 'stars' | 'recent' | 'name';
  limit: number;
  offset: number;
};

/** How many other accounts have called a version. */
const callers = sql<number>`(
  select count(distinct c.account_id)::integer from agent_calls c
  where c.owner_id = agents.account_id and c.version_id = agent_versions.version_id and c.account_id <> agents.account_id)`;

/** The public agents of accounts that are not suspended, each as the newest public version says that is not deprecated. */
export function listPublicAgents(
  db: Db,
  { search, tags = [], type, sort, limit, offset }: PublicFilter,
): Promise<(OfferedVersion & { callers: number })[]> {
  const order = {
    stars: sql`${callers} desc`,
    recent: sql`agent_versions.created_at desc`,
    name: sql`agents.name collate "C"`,
  };
  // Of a pattern these mean something else.
  const pattern = `%${(search ?? '').replaceAll(/[\\%_]/g, '\\$&')}%`;
  return offeredVersions(db)
    .select(briefSpec.as('spec'))
    .select(callers.as('callers'))
    .where('is_public', '=', true)
    .where('accounts.suspended_at', 'is', null)
    .where(sql<SqlBool>`not ${isGone}`)
    .where(
      sql<SqlBool>`number = (
        select p.number from agent_versions p where p.agent_id = agents.agent_id and p.is_public
        order by p.deprecated_at is not null, p.number desc limit 1)`,
    )
    .$if(type !== undefined, (query) => query.where('type', '=', type!))
    .$if(tags.length > 0, (query) => query.where(sql<SqlBool>`agent_versions.tags @> ${tags}::text[]`))
    .$if(search !== undefined, (query) =>
      query.where(
        sql<SqlBool>`(agents.name ilike ${pattern} or accounts.slug ilike ${pattern} or spec ->> 'description' ilike ${pattern}
          or exists (select from unnest(agent_versions.tags) tag where tag ilike ${pattern}))`,
      ),
    )
    .orderBy(order[sort])
    .orderBy('agent_versions.created_at', 'desc')
    .orderBy('version_id')
    .limit(limit)
    .offset(offset)
    .execute();
}

/** Of what is estimated, so many days back, and so many runs at most. */
export const estimateDays = 30;
const mostRuns = 1_000;
/** What fewer runs have cost would tell of who had them. */
export const fewestRuns = 5;

export type CostSample = {
  sample_size: number;
  avg_cost_usd: number | null;
  p50_cost_usd: number | null;
  p95_cost_usd: number | null;
  avg_input_tokens: number | null;
  avg_output_tokens: number | null;
  avg_duration_ms: number | null;
  success_rate: number | null;
  provider_breakdown: { provider: string; model: string; runs: number; total_cost_usd: number; avg_cost_usd: number }[];
};

/**
 * What the calls of a version have cost, whoever made them; of its newest calls that have ended. Runs of which the price of a model is
 * not known count as far as it is.
 */
export async function sampleCosts(db: Db, { account_id, version_id }: OfferedVersion): Promise<CostSample> {
  const { rows } = await sql<CostSample>`
    with sample as materialized (
      select runs.run_id, runs.status, extract(epoch from completed_at - started_at) * 1000 as duration_ms
      from agent_calls join runs using (run_id)
      where owner_id = ${account_id} and version_id = ${version_id} and runs.status in ('completed', 'failed')
        and agent_calls.created_at > now() - ${sql.lit(estimateDays)} * interval '1 day'
      order by agent_calls.created_at desc limit ${sql.lit(mostRuns)}
    ), costs as materialized (
      select run_id, sum(coalesce(cost_usd, 0))::float8 as cost, sum(input_tokens) as input, sum(output_tokens) as output
      from llm_calls where run_id in (select run_id from sample) group by run_id
    ), models as (
      select vendor as provider, model, count(distinct run_id)::integer as runs,
        sum(coalesce(cost_usd, 0))::float8 as total_cost_usd,
        (sum(coalesce(cost_usd, 0)) / count(distinct run_id))::float8 as avg_cost_usd
      from llm_calls where run_id in (select run_id from sample)
      group by vendor, model having count(distinct run_id) >= ${sql.lit(fewestRuns)}
      order by runs desc, vendor, model limit 20
    )
    select count(*)::integer as sample_size,
      avg(coalesce(cost, 0))::float8 as avg_cost_usd,
      percentile_cont(0.5) within group (order by coalesce(cost, 0)) as p50_cost_usd,
      percentile_cont(0.95) within group (order by coalesce(cost, 0)) as p95_cost_usd,
      avg(coalesce(input, 0))::float8 as avg_input_tokens,
      avg(coalesce(output, 0))::float8 as avg_output_tokens,
      avg(duration_ms)::float8 as avg_duration_ms,
      avg(case when status = 'completed' then 1 else 0 end)::float8 as success_rate,
      (select coalesce(jsonb_agg(models), '[]') from models) as provider_breakdown
    from sample left join costs using (run_id)`.execute(db);
  const [sample] = rows;
  if (sample!.sample_size >= fewestRuns) return sample!;
  return {
    sample_size: 0,
    avg_cost_usd: null,
    p50_cost_usd: null,
    p95_cost_usd: null,
    avg_input_tokens: null,
    avg_output_tokens: null,
    avg_duration_ms: null,
    success_rate: null,
    provider_breakdown: [],
  };
}
