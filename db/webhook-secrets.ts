import { sql } from 'kysely';
import type { Db } from './index.ts';

/** The secrets that sign webhooks, encrypted. One that was replaced signs beside the new one for a day. */

const inADay = sql<string>`now() + interval '24 hours'`;

/** Replaces the secret that signs the webhooks of an account's runs. Returns until when the old one signs. */
export function rotateWebhookSecret(db: Db, account_id: string, webhook_secret_encrypted: string): Promise<string> {
  return db.transaction().execute(async (trx) => {
    const own = trx.selectFrom('accounts').select('webhook_secret_encrypted').where('account_id', '=', account_id);
    const old = await own.forUpdate().executeTakeFirstOrThrow();
    const { expires_at } = await trx
      .insertInto('retired_webhook_secrets')
      .values({ account_id, secret_encrypted: old.webhook_secret_encrypted, expires_at: inADay })
      .returning('expires_at')
      .executeTakeFirstOrThrow();
    await trx.updateTable('accounts').set({ webhook_secret_encrypted }).where('account_id', '=', account_id).execute();
    return expires_at;
  });
}

/** Replaces the secret of a subscription in the same way. Undefined when the account has none of this id. */
export function rotateSubscriptionSecret(
  db: Db,
  {
    account_id,
    subscription_id,
    secret_encrypted,
  }: Record<'account_id' | 'subscription_id' | 'secret_encrypted', string>,
): Promise<string | undefined> {
  return db.transaction().execute(async (trx) => {
    const old = await trx
      .selectFrom('webhook_subscriptions')
      .select('secret_encrypted')
      .where('account_id', '=', account_id)
      .where('subscription_id', '=', subscription_id)
      .forUpdate()
      .executeTakeFirst();
    if (!old) return undefined;
    const { expires_at } = await trx
      .insertInto('retired_subscription_secrets')
      .values({ ...old, account_id, subscription_id, expires_at: inADay })
      .returning('expires_at')
      .executeTakeFirstOrThrow();
    await trx
      .updateTable('webhook_subscriptions')
      .set({ secret_encrypted })
      .where('subscription_id', '=', subscription_id)
      .execute();
    return expires_at;
  });
}

/** Forgets the secrets that sign no more. */
export async function deleteRetiredSecrets(db: Db): Promise<void> {
  const expired = sql<boolean>`expires_at < now()`;
  await db.deleteFrom('retired_webhook_secrets').where(expired).execute();
  await db.deleteFrom('retired_subscription_secrets').where(expired).execute();
}
