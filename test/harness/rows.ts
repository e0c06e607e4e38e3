import type { Db } from '../../db/index.ts';
import type { Database } from '../../db/schema.ts';

// Without the outbox, which empties itself, and without the count of requests.
const tables: Record<Exclude<keyof Database, 'outbox' | 'rate_limits'>, true> = {
  accounts: true,
  api_keys: true,
  providers: true,
  runs: true,
  tasks: true,
  gates: true,
  texts: true,
  llm_calls: true,
  tool_calls: true,
  mcp_servers: true,
  run_events: true,
  run_search: true,
  webhook_deliveries: true,
  retired_webhook_secrets: true,
  idempotency_keys: true,
  definitions: true,
  orchestrations: true,
  budget_reservations: true,
  managed_reservations: true,
  managed_spending: true,
  model_cooldowns: true,
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
