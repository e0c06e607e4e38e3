import type { Insertable } from 'kysely';
import { isGood } from './api-keys.ts';
import type { Db } from './index.ts';
import { holdAccount, limitReached } from './limits.ts';
import type { ApiKey, Database } from './schema.ts';

/** The keys that agents' own code has, to call other agents. They go with their agent. */

export type AgentKeyView = Pick<ApiKey, 'key_id' | 'key_prefix' | 'created_at' | 'expires_at' | 'last_used_at'>;
const viewColumns = [
  'key_id',
  'key_prefix',
  'created_at',
  'expires_at',
  'last_used_at',
] as const satisfies (keyof AgentKeyView)[];

/** The keys of an agent of the account that have not expired, newest first. */
export function listAgentKeys(db: Db, account_id: string, agent_id: string): Promise<AgentKeyView[]> {
  return db
    .selectFrom('api_keys')
    .select(viewColumns)
    .where('account_id', '=', account_id)
    .where('agent_id', '=', agent_id)
    .where(isGood)
    .orderBy('created_at', 'desc')
    .orderBy('key_id')
    .execute();
}

/**
 * Adds a key to an agent of the account. One of the same id, which a first try made whose answer nobody got, is replaced. Throws
 * `LimitReached` when the agent has `most` others.
 */
export function insertAgentKey(
  db: Db,
  key: Insertable<Database['api_keys']> & { key_id: string; agent_id: string },
  most: number,
): Promise<AgentKeyView> {
  const { account_id, agent_id, key_id, key_sha256, key_prefix } = key;
  return db.transaction().execute(async (trx) => {
    await holdAccount(trx, account_id);
    const keys = await listAgentKeys(trx, account_id, agent_id);
    if (keys.filter((one) => one.key_id !== key_id).length >= most) throw limitReached('keys of this agent', most);
    return trx
      .insertInto('api_keys')
      .values(key)
      .onConflict((conflict) => conflict.column('key_id').doUpdateSet({ key_sha256, key_prefix }))
      .returning(viewColumns)
      .executeTakeFirstOrThrow();
  });
}

/** Takes a key of an agent back. Returns false when there is none of this id. */
export async function deleteAgentKey(db: Db, account_id: string, agent_id: string, key_id: string): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('api_keys')
    .where('account_id', '=', account_id)
    .where('agent_id', '=', agent_id)
    .where('key_id', '=', key_id)
    .executeTakeFirst();
  return numDeletedRows > 0n;
}
