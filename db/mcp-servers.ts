import { sql, type Insertable } from 'kysely';
import type { Db } from './index.ts';
import { LimitReached, withinLimit } from './limits.ts';
import type { Database, McpServer, McpTool } from './schema.ts';

/** Of all servers of an account, in characters of JSON: a list shows them all. */
const maxTools = 1_000_000;

/** A server as readers see it, of its tools no more than names and descriptions. */
export type McpServerView = Pick<McpServer, 'name' | 'url' | 'command' | 'args' | 'created_at'> & {
  tools: Pick<McpTool, 'name' | 'description'>[];
};

/**
 * Registers a server, in place of one of its name. Returns when it was first registered. Throws `LimitReached` when the account has
 * `most` others, or when all their tools would be too much for one list.
 */
export function upsertMcpServer(db: Db, server: Insertable<Database['mcp_servers']>, most: number): Promise<string> {
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
    const { created_at } = await trx
      .insertInto('mcp_servers')
      .values(server)
      .onConflict((conflict) => conflict.columns(['account_id', 'name']).doUpdateSet(change))
      .returning('created_at')
      .executeTakeFirstOrThrow();
    return created_at;
  });
}

/** The tools of the account's servers, as `server.tool`. */
export async function listMcpToolNames(db: Db, account_id: string): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select name || '.' || (tool ->> 'name') as name from mcp_servers, jsonb_array_elements(tools) as tool
    where account_id = ${account_id}`.execute(db);
  return rows.map(({ name }) => name);
}

/**
 * The tools of the account's servers with their schemas, by server, as each lists them: the members of a JSON array, without
 * its brackets. They may be megabytes, which nobody here reads.
 */
export async function toolsOfMcpServers(db: Db, account_id: string): Promise<string> {
  const { rows } = await sql<{ tools: string | null }>`
    select string_agg(json_build_object(
      'name', name || '.' || (tool ->> 'name'), 'description', tool -> 'description',
      'parameters', tool -> 'json_schema', 'server', name
    )::text, ',' order by name, place) as tools
    from mcp_servers, jsonb_array_elements(tools) with ordinality as each_tool (tool, place)
    where account_id = ${account_id}`.execute(db);
  return rows[0]!.tools ?? '';
}

export type ServerTool = { name: string; description: string; parameters: Record<string, unknown>; server: string };

/** The account's servers, by name. */
export function listMcpServers(db: Db, account_id: string): Promise<McpServerView[]> {
  return db
    .selectFrom('mcp_servers')
    .select(['name', 'command', 'args', 'created_at', sql<string | null>`without_password(url)`.as('url')])
    .select(
      sql<McpServerView['tools']>`(
        select coalesce(jsonb_agg(tool - 'json_schema' order by place), '[]')
        from jsonb_array_elements(tools) with ordinality as each_tool (tool, place))`.as('tools'),
    )
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
