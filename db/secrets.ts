import { sql, type RawBuilder } from 'kysely';
import type { Db } from './index.ts';

/**
 * Where encrypted secrets are stored: table, column, what in the table names one beside its account, and which are in use.
 * Of a provider that is deactivated nothing is read any more, and what is expired signs nothing.
 */
const places = {
  providerKey: ['providers', 'api_key_encrypted', 'provider_id', sql`status = 'active'`],
  webhookSecret: ['accounts', 'webhook_secret_encrypted', 'account_id', sql`true`],
  retiredWebhookSecret: ['retired_webhook_secrets', 'secret_encrypted', 'account_id', sql`expires_at > now()`],
  subscriptionSecret: ['webhook_subscriptions', 'secret_encrypted', 'subscription_id', sql`true`],
  retiredSubscriptionSecret: [
    'retired_subscription_secrets',
    'secret_encrypted',
    'subscription_id',
    sql`expires_at > now()`,
  ],
  mcpServerSecrets: ['mcp_servers', 'secrets_encrypted', 'name', sql`true`],
} as const;

export type StoredSecret = { place: keyof typeof places; account_id: string; name: string; blob: string };

function secretsOf(place: keyof typeof places): RawBuilder<StoredSecret> {
  const [table, column, name, isInUse] = places[place];
  return sql<StoredSecret>`
    select ${place}::text as place, account_id, ${sql.ref(name)} as name, ${sql.ref(column)} as blob
    from ${sql.table(table)} where ${sql.ref(column)} is not null and ${isInUse}`;
}

/** Calls `change` with each secret that is in use and writes what it returns; undefined leaves it. One row a transaction. */
export async function changeSecrets(
  db: Db,
  change: (secret: StoredSecret) => string | undefined,
): Promise<{ read: number; changed: number }> {
  const count = { read: 0, changed: 0 };
  for (const place of Object.keys(places) as (keyof typeof places)[]) {
    const [table, column] = places[place];
    for (const secret of (await secretsOf(place).execute(db)).rows) {
      count.read += 1;
      const changed = change(secret);
      if (!changed) continue;
      // Only what was read is replaced. No two secrets look alike.
      await sql`
        update ${sql.table(table)} set ${sql.ref(column)} = ${changed}
        where account_id = ${secret.account_id} and ${sql.ref(column)} = ${secret.blob}`.execute(db);
      count.changed += 1;
    }
  }
  return count;
}

const inUse = sql.join(
  (Object.keys(places) as (keyof typeof places)[]).map((place) => secretsOf(place)),
  sql` union all `,
);

const undefinedTable = '42P01';

/** The keys, by id, that encrypted secrets which are in use, and are none of these; and how many secrets each did. */
export async function findForeignKeys(db: Db, key_ids: string[]): Promise<{ key_id: string; secrets: number }[]> {
  try {
    const { rows } = await sql<{ key_id: string; secrets: number }>`
      select split_part(blob, '.', 2) as key_id, count(*) as secrets from (${inUse}) as secret
      where split_part(blob, '.', 2) <> all(${key_ids}) group by 1 order by 2 desc`.execute(db);
    return rows;
  } catch (error) {
    // A database that is not migrated yet has no secrets.
    if ((error as { code?: unknown }).code === undefinedTable) return [];
    throw error;
  }
}
