import type { Db } from './index.ts';

/** Calls `change` with each stored secret and writes what it returns; undefined leaves it. One row a transaction. */
export async function changeSecrets(
  db: Db,
  change: {
    providerKey: (row: { account_id: string; provider_id: string; blob: string }) => string | undefined;
    webhookSecret: (row: { account_id: string; blob: string }) => string | undefined;
    mcpServerSecrets: (row: { account_id: string; name: string; blob: string }) => string | undefined;
  },
): Promise<{ read: number; changed: number }> {
  const count = { read: 0, changed: 0 };

  const providers = await db
    .selectFrom('providers')
    .select(['account_id', 'provider_id', 'api_key_encrypted as blob'])
    .where('api_key_encrypted', 'is not', null)
    .$narrowType<{ blob: string }>()
    .execute();
  for (const row of providers) {
    count.read += 1;
    const api_key_encrypted = change.providerKey(row);
    if (!api_key_encrypted) continue;
    // Only what was read is replaced.
    const update = db.updateTable('providers').set({ api_key_encrypted }).where('api_key_encrypted', '=', row.blob);
    await update.where('provider_id', '=', row.provider_id).execute();
    count.changed += 1;
  }

  const accounts = await db.selectFrom('accounts').select(['account_id', 'webhook_secret_encrypted as blob']).execute();
  for (const row of accounts) {
    count.read += 1;
    const webhook_secret_encrypted = change.webhookSecret(row);
    if (!webhook_secret_encrypted) continue;
    const update = db
      .updateTable('accounts')
      .set({ webhook_secret_encrypted })
      .where('webhook_secret_encrypted', '=', row.blob);
    await update.where('account_id', '=', row.account_id).execute();
    count.changed += 1;
  }

  const servers = await db
    .selectFrom('mcp_servers')
    .select(['account_id', 'name', 'secrets_encrypted as blob'])
    .where('secrets_encrypted', 'is not', null)
    .$narrowType<{ blob: string }>()
    .execute();
  for (const row of servers) {
    count.read += 1;
    const secrets_encrypted = change.mcpServerSecrets(row);
    if (!secrets_encrypted) continue;
    await db
      .updateTable('mcp_servers')
      .set({ secrets_encrypted })
      .where('secrets_encrypted', '=', row.blob)
      .where('account_id', '=', row.account_id)
      .where('name', '=', row.name)
      .execute();
    count.changed += 1;
  }
  return count;
}
