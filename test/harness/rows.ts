import { sql } from 'kysely';
import type { Db } from '../../db/index.ts';
import type { Database } from '../../db/schema.ts';
import { until } from './client.ts';

// Without the outbox, what is to be looked at, taken away and added up, which empty themselves, without what workers say of themselves, and without the count of requests.
const tables: Record<
  Exclude<
    keyof Database,
    'outbox' | 'assignment_looks' | 'rate_limits' | 'gone_documents' | 'code_workers' | 'usage_deltas'
  >,
  true
> = {
  accounts: true,
  api_keys: true,
  oauth_clients: true,
  oauth_grants: true,
  oauth_artifacts: true,
  people: true,
  providers: true,
  runs: true,
  purged_runs: true,
  purged_run_counts: true,
  tasks: true,
  gates: true,
  texts: true,
  llm_calls: true,
  tool_calls: true,
  failed_tries: true,
  mcp_servers: true,
  run_events: true,
  run_search: true,
  run_costs: true,
  webhook_deliveries: true,
  retired_webhook_secrets: true,
  webhook_subscriptions: true,
  retired_subscription_secrets: true,
  idempotency_keys: true,
  definitions: true,
  orchestrations: true,
  budget_reservations: true,
  managed_reservations: true,
  managed_spending: true,
  broken_calls: true,
  model_cooldowns: true,
  files: true,
  run_files: true,
  agents: true,
  agent_versions: true,
  agent_calls: true,
  purged_calls: true,
  usage_counts: true,
  knowledge_bases: true,
  documents: true,
  chunks: true,
  knowledge_usage: true,
  bundles: true,
  code_runs: true,
  code_files: true,
  kept_slugs: true,
};

/** How many rows each table has: equal before and after a request that must leave nothing. */
export async function countRows(db: Db): Promise<Record<string, number>> {
  const counts = Object.keys(tables).map(async (table) => {
    const { count } = await db
      .selectFrom(table as keyof Database)
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow();
    return [table, count];
  });
  return Object.fromEntries(await Promise.all(counts));
}

/** The tables that have a row with this value in this column, of all that have such a column. */
export async function tablesWith(db: Db, column: 'run_id' | 'account_id', value: string): Promise<string[]> {
  const { rows: columns } = await sql<{ name: string }>`
    select table_name as name from information_schema.columns
    where table_schema = 'public' and column_name = ${column} order by 1`.execute(db);
  // In one statement: it is asked again and again.
  const found = columns.map(
    ({ name }) => sql`select ${name} as name where exists (
      select from ${sql.table(name)} where ${sql.ref(column)} = ${value})`,
  );
  const { rows } = await sql<{ name: string }>`${sql.join(found, sql` union all `)} order by name`.execute(db);
  return rows.map(({ name }) => name);
}

/** The tables in the text of which this word is. */
export async function tablesThatSay(db: Db, word: string): Promise<string[]> {
  const { rows: tables } = await sql<{ name: string }>`
    select table_name as name from information_schema.tables where table_schema = 'public' order by 1`.execute(db);
  const found: string[] = [];
  for (const { name } of tables) {
    const says = sql`select from ${sql.table(name)} as one where strpos(lower(one::text), ${word.toLowerCase()}) > 0 limit 1`;
    if ((await says.execute(db)).rows.length > 0) found.push(name);
  }
  return found;
}

/** Resolves when somebody waits for a table that the test has locked; `what` says for what. */
export function untilBlocked(db: Db, what: string): Promise<void> {
  const blocked = sql`
    select from pg_stat_activity
    where wait_event_type = 'Lock' and wait_event = 'relation' and datname = current_database()`;
  return until(async () => (await blocked.execute(db)).rows.length > 0, what);
}

/** Resolves when so many sessions wait for a row that the test has locked; `what` says for what. */
export function untilRowIsAwaited(db: Db, { by }: { by: number }, what: string): Promise<void> {
  const waiting = sql`
    select from pg_stat_activity
    where wait_event_type = 'Lock' and wait_event in ('transactionid', 'tuple') and datname = current_database()`;
  return until(async () => (await waiting.execute(db)).rows.length >= by, what);
}
