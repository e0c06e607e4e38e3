import { sql, type RawBuilder } from 'kysely';
import type { Db } from './index.ts';
import type { UsageSide } from './schema.ts';

/**
 * What calls of agents have come to: of an account's calls, or of others' calls of its agents. It is counted as it is journalled
 * (triggers of `agent_calls`, `runs`, `llm_calls` and `code_runs`), each run by itself under the hour in which it was called, and is left when runs
 * are purged.
 */

/** Whole hours, `to` excluded. `agent` is `org/name`. */
export type UsageFilter = {
  account_id: string;
  side: UsageSide;
  from: string;
  to: string;
  agent?: string | undefined;
  version?: string | undefined;
  tenant?: string | undefined;
};

export type UsageSums = {
  calls: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  /** Of all calls that have ended. */
  duration_ms: number;
  llm_calls: number;
  input_tokens: number;
  output_tokens: number;
  cost_usd: number;
};

export type ComputeSums = { runs: number; wall_ms: number; cpu_ms: number };

/** What usage is broken down by. */
export type UsageGroup = 'agent' | 'version' | 'tenant' | 'model' | 'key';

/** Null of what has none, as a call without a tenant. */
export type GroupKey = {
  agent?: string;
  version?: string;
  tenant?: string | null;
  vendor?: string;
  model?: string;
  key_id?: string;
};

const sums = sql`
  coalesce(sum(calls), 0)::bigint as calls, coalesce(sum(succeeded), 0)::bigint as succeeded,
  coalesce(sum(failed), 0)::bigint as failed, coalesce(sum(cancelled), 0)::bigint as cancelled,
  coalesce(sum(duration_ms), 0)::bigint as duration_ms, coalesce(sum(llm_calls), 0)::bigint as llm_calls,
  coalesce(sum(input_tokens), 0)::bigint as input_tokens, coalesce(sum(output_tokens), 0)::bigint as output_tokens,
  coalesce(sum(cost_usd), 0)::float8 as cost_usd`;

const computeSums = sql`
  coalesce(sum(code_runs), 0)::bigint as runs, coalesce(sum(wall_ms), 0)::bigint as wall_ms,
  coalesce(sum(cpu_ms), 0)::bigint as cpu_ms`;

/** The same before it is rounded, of parts that are summed again. */
const parts = sql`
  sum(calls) as calls, sum(succeeded) as succeeded, sum(failed) as failed, sum(cancelled) as cancelled,
  sum(duration_ms) as duration_ms, sum(llm_calls) as llm_calls, sum(input_tokens) as input_tokens,
  sum(output_tokens) as output_tokens, sum(cost_usd) as cost_usd, sum(code_runs) as code_runs, sum(wall_ms) as wall_ms,
  sum(cpu_ms) as cpu_ms`;

function counted({ account_id, side, from, to, agent, version, tenant }: UsageFilter): RawBuilder<unknown> {
  const conditions = [
    sql`true`,
    ...(agent === undefined ? [] : [sql`agent = ${agent}`]),
    ...(version === undefined ? [] : [sql`version = ${version}`]),
    ...(tenant === undefined ? [] : [sql`tenant = ${tenant}`]),
  ];
  return sql`usage_in(${account_id}, ${side}, ${from}::timestamptz, ${to}::timestamptz) where ${sql.join(conditions, sql` and `)}`;
}

/** All of it. */
export async function sumUsage(db: Db, filter: UsageFilter): Promise<UsageSums> {
  const { rows } = await sql<UsageSums>`select ${sums} from ${counted(filter)}`.execute(db);
  return rows[0]!;
}

/** By the hour or the day (UTC); those without any are left out. */
export async function sumUsageOverTime(
  db: Db,
  filter: UsageFilter,
  interval: 'hour' | 'day',
): Promise<(UsageSums & { at: string })[]> {
  const { rows } = await sql<UsageSums & { at: string }>`
    select date_trunc(${interval}, hour, 'UTC') as at, ${sums} from ${counted(filter)} group by 1 order by 1`.execute(
    db,
  );
  return rows;
}

const keys: Record<UsageGroup, RawBuilder<GroupKey>> = {
  agent: sql`jsonb_build_object('agent', agent)`,
  version: sql`jsonb_build_object('agent', agent, 'version', version)`,
  tenant: sql`jsonb_build_object('tenant', nullif(tenant, ''))`,
  model: sql`jsonb_build_object('vendor', vendor, 'model', model)`,
  key: sql`jsonb_build_object('key_id', key_id)`,
};

/** A part of the whole; the key of what is beyond the `most` largest, all together, is null. */
export type UsagePart<T> = T & { key: GroupKey | null };

/** The parts with the highest cost, and of those that cost the same with the most calls, first; and last all others together. */
export async function sumUsageBy(
  db: Db,
  filter: UsageFilter,
  by: UsageGroup,
  most: number,
): Promise<UsagePart<UsageSums>[]> {
  // A call is of no model, but of as many as it has asked.
  const isOfModels = by === 'model' ? sql`and model <> ''` : sql``;
  const { rows } = await sql<UsagePart<UsageSums>>`
    with parts as (
      select ${keys[by]} as key, ${parts} from ${counted(filter)} ${isOfModels} group by 1
    ), ranked as (
      select *, row_number() over (order by cost_usd desc, calls desc, llm_calls desc, key) as rank from parts
    ), shown as (
      select *, case when rank <= ${most} then key end as part from ranked
    )
    select part as key, ${sums} from shown group by part order by min(rank)`.execute(db);
  return rows;
}

/** What the sandbox has done, in all. */
export async function sumCompute(db: Db, filter: UsageFilter): Promise<ComputeSums> {
  const { rows } = await sql<ComputeSums>`select ${computeSums} from ${counted(filter)}`.execute(db);
  return rows[0]!;
}

/** The same by version; those with the most seconds of a processor first, and last all others together. */
export async function sumComputeByVersion(
  db: Db,
  filter: UsageFilter,
  most: number,
): Promise<UsagePart<ComputeSums>[]> {
  const { rows } = await sql<UsagePart<ComputeSums>>`
    with parts as (
      select ${keys.version} as key, ${parts} from ${counted(filter)} and (code_runs <> 0 or wall_ms <> 0 or cpu_ms <> 0) group by 1
    ), ranked as (
      select *, row_number() over (order by cpu_ms desc, wall_ms desc, key) as rank from parts
    ), shown as (
      select *, case when rank <= ${most} then key end as part from ranked
    )
    select part as key, ${computeSums} from shown group by part order by min(rank)`.execute(db);
  return rows;
}

/** The names of these keys; those that are deleted have none any more. */
export async function namesOfKeys(db: Db, account_id: string, key_ids: string[]): Promise<Map<string, string>> {
  if (key_ids.length === 0) return new Map();
  const rows = await db
    .selectFrom('api_keys')
    .select(['key_id', 'name'])
    .where('account_id', '=', account_id)
    .where('key_id', 'in', key_ids)
    .execute();
  return new Map(rows.map(({ key_id, name }) => [key_id, name]));
}

/** Adds up to `most` single counts to those of their hour, and returns how many. */
export async function foldUsage(db: Db, most: number): Promise<number> {
  const { rows } = await sql<{ folded: number }>`select fold_usage(${most}::integer) as folded`.execute(db);
  return rows[0]!.folded;
}
