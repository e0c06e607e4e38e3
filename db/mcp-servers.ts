import { sql, type Insertable } from 'kysely';
import type { Db } from './index.ts';
import { LimitReached, withinLimit } from './limits.ts';
import type { Database, McpServer } from './schema.ts';

/** Of all servers of an account, in characters of JSON: a list shows them all. */
const maxTools = 8_000_000;

/**
 * Registers a server, in place of one of its name. Returns it as it is stored. Throws `LimitReached` when the account has
 * `most` others, or when all their tools would be too much for one list.
 */
export function upsertMcpServer(db: Db, server: Insertable<Database['mcp_servers']>, most: number): Promise<McpServer> {
  const { account_id, name, ...change } = server;
  const others = sql<{ count: number }>`
    select count(*) from mcp_servers where account_id = ${account_id} and name <> ${name}`;
  return withinLimit(db, account_id, { what: 'MCP servers', most, others }, async (trx) => {
    const { rows } = await sql<{ length: number }>`
      select coalesce(sum(length(tools::text)), 0) as length from mcp_servers
      where account_id = ${account_id} and name <> ${name}`.execute(trx);
    if (rows[0]!.length + server.tools.length > maxTools) {
      const numbers = new Intl.NumberFormat('en');
      const message = `The tools of all MCP servers of an account have ${numbers.format(maxTools)} characters at most.`;
      throw new LimitReached(`${message} Remove a server.`);
    }
    return trx
      .insertInto('mcp_servers')
      .values(server)
      .onConflict((conflict) => conflict.columns(['account_id', 'name']).doUpdateSet(change))
      .returningAll()
      .executeTakeFirstOrThrow();
  });
}

/** The tools of the account's servers, as `server.tool`. */
export async function listMcpToolNames(db: Db, account_id: string): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select name || '.' || (tool ->> 'name') as name from mcp_servers, jsonb_array_elements(tools) as tool
    where account_id = ${account_id}`.execute(db);
  return rows.map(({ name }) => name);
}

/** The account's servers, by name, as readers may see them. */
export function listMcpServers(db: Db, account_id: string): Promise<McpServer[]> {
  return db
    .selectFrom('mcp_servers')
    .selectAll()
    .select(sql<string | null>`without_password(url)`.as('url'))
    .where('account_id', '=', account_id)
    .orderBy('name')
    .execute();
}

export function findMcpServer(db: Db, account_id: string, name: string): Promise<McpServer | undefined> {
  return db
    .selectFrom('mcp_servers')
    .selectAll()
    .where('account_id', '=', account_id)
    .where('name', '=', name)
    .executeTakeFirst();
}

/** Returns false when the account has none of this name. */
export async function deleteMcpServer(db: Db, account_id: string, name: string): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('mcp_servers')
    .where('account_id', '=', account_id)
    .where('name', '=', name)
    .executeTakeFirst();
  return numDeletedRows > 0n;
}
