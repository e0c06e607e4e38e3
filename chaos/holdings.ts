import { sql } from 'kysely';
import type { Db } from '../db/index.ts';

export type Holding = Awaited<ReturnType<typeof readHoldings>>[number];

/** What each account has, by name, besides its runs: of its providers those that are active. */
export async function readHoldings(db: Db) {
  const [providers, keys, servers, orchestrations, subscriptions, files, agents, people, bases] = await Promise.all([
    db
      .selectFrom('providers')
      .select(['account_id', 'provider_id as id', 'label as name', 'status as state'])
      .execute(),
    // Those that code is given are of its run alone.
    db
      .selectFrom('api_keys')
      .select(['account_id', 'key_id as id', 'name', 'scopes'])
      .where('run_id', 'is', null)
      .execute(),
    db.selectFrom('mcp_servers').select(['account_id', 'name as id', 'name', 'url as state']).execute(),
    db.selectFrom('orchestrations').select(['account_id', 'id', 'id as name', 'hash as state']).execute(),
    db
      .selectFrom('webhook_subscriptions')
      .select(['account_id', 'subscription_id as id', 'description as name', 'url as state'])
      .execute(),
    db
      .selectFrom('files')
      .select(['account_id', 'file_id as id', 'name', 'sha256 as state'])
      .where('account_id', 'is not', null)
      .$narrowType<{ account_id: string }>()
      .execute(),
    db
      .selectFrom('agents')
      .select(['account_id', 'agent_id as id', 'name', sql<string>`latest::text`.as('state')])
      .execute(),
    db.selectFrom('people').select(['account_id', 'person_id as id', 'name', 'status as state']).execute(),
    db
      .selectFrom('knowledge_bases')
      .select(['account_id', 'knowledge_id as id', 'name', sql<string>`version::text`.as('state')])
      .execute(),
  ]);
  const rowsOf = (
    kind: string,
    rows: { account_id: string; id: string; name: string | null; state?: string | null }[],
  ) => rows.map((row) => ({ kind, ...row }));
  return [
    ...rowsOf('provider', providers),
    ...rowsOf('key', keys),
    ...rowsOf('MCP server', servers),
    ...rowsOf('orchestration', orchestrations),
    ...rowsOf('subscription', subscriptions),
    ...rowsOf('file', files),
    ...rowsOf('agent', agents),
    ...rowsOf('person', people),
    ...rowsOf('knowledge base', bases),
  ];
}
