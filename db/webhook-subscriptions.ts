import { sql, type Insertable } from 'kysely';
import type { Db } from './index.ts';
import { withinLimit } from './limits.ts';
import { byTime, onPage, type Page } from './pages.ts';
import type { Database, WebhookSubscription } from './schema.ts';

const viewColumns = [
  'subscription_id',
  'url',
  'events',
  'description',
  'status',
  'disabled_reason',
  'failing_since',
  'created_at',
] as const;

/** A subscription as its account reads it. */
export type SubscriptionView = Pick<WebhookSubscription, (typeof viewColumns)[number]>;

/**
 * Subscribes an account to what its runs are told of from now on. Where the first try of the request has come so far, the
 * secret of this try counts. Throws `LimitReached` when the account has `most` others.
 */
export function insertSubscription(
  db: Db,
  subscription: Insertable<Database['webhook_subscriptions']>,
  most: number,
): Promise<SubscriptionView> {
  const { account_id, subscription_id, secret_encrypted } = subscription;
  const others = sql<{ count: number }>`
    select count(*) from webhook_subscriptions
    where account_id = ${account_id} and subscription_id <> ${subscription_id}`;
  return withinLimit(db, account_id, { what: 'webhook subscriptions', most, others }, (trx) =>
    trx
      .insertInto('webhook_subscriptions')
      .values(subscription)
      .onConflict((conflict) => conflict.column('subscription_id').doUpdateSet({ secret_encrypted }))
      .returning(viewColumns)
      .executeTakeFirstOrThrow(),
  );
}

/** The account's subscriptions, newest first. */
export function listSubscriptions(db: Db, account_id: string): Promise<SubscriptionView[]> {
  return db
    .selectFrom('webhook_subscriptions')
    .select(viewColumns)
    .where('account_id', '=', account_id)
    .orderBy('created_at', 'desc')
    .orderBy('subscription_id')
    .execute();
}

/** A page of the account's subscriptions, by when they were made: those that are so, and are told of this event. */
export function listSubscriptionPage(
  db: Db,
  account_id: string,
  { status, event }: { status?: WebhookSubscription['status']; event?: string },
  page: Page,
): Promise<SubscriptionView[]> {
  const subscriptions = db
    .selectFrom('webhook_subscriptions')
    .select(viewColumns)
    .where('account_id', '=', account_id)
    .$if(status !== undefined, (query) => query.where('status', '=', status!))
    .$if(event !== undefined, (query) => query.where(sql<boolean>`${event!} = any(events)`));
  return onPage(subscriptions, byTime('created_at', 'subscription_id'), page).execute();
}

/** Undefined when the account has none of this id. */
export function findSubscription(
  db: Db,
  account_id: string,
  subscription_id: string,
): Promise<SubscriptionView | undefined> {
  return db
    .selectFrom('webhook_subscriptions')
    .select(viewColumns)
    .where('account_id', '=', account_id)
    .where('subscription_id', '=', subscription_id)
    .executeTakeFirst();
}

export type SubscriptionChange = Partial<Pick<WebhookSubscription, 'url' | 'events' | 'description' | 'status'>>;

/**
 * Changes a subscription, and returns it. What waits to be sent goes to the new URL. While it is disabled nothing is told to
 * it, and what waits is not sent any more; active again, it is told of what happens from then on. What `check` throws of it as
 * it is leaves it so. Undefined when the account has none of this id.
 */
export function updateSubscription(
  db: Db,
  account_id: string,
  subscription_id: string,
  { status, ...change }: SubscriptionChange,
  check: (before: SubscriptionView) => void = () => {},
): Promise<SubscriptionView | undefined> {
  return db.transaction().execute(async (trx) => {
    const before = await trx
      .selectFrom('webhook_subscriptions')
      .select(viewColumns)
      .where('account_id', '=', account_id)
      .where('subscription_id', '=', subscription_id)
      .forUpdate()
      .executeTakeFirst();
    if (!before) return undefined;
    check(before);
    const isRevived = before.status === 'disabled' && status === 'active';
    const changed = { ...change, ...(isRevived && { status, disabled_reason: null, failing_since: null }) };
    if (Object.keys(changed).length > 0) {
      const own = trx.updateTable('webhook_subscriptions').where('subscription_id', '=', subscription_id);
      await own.set(changed).execute();
    }
    if (status === 'disabled') await sql`select disable_subscription(${subscription_id}, null)`.execute(trx);
    return findSubscription(trx, account_id, subscription_id);
  });
}

/** Ends a subscription; what waits to be sent is not sent any more. Returns false when the account has none of this id. */
export function deleteSubscription(db: Db, account_id: string, subscription_id: string): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    const { numDeletedRows } = await trx
      .deleteFrom('webhook_subscriptions')
      .where('account_id', '=', account_id)
      .where('subscription_id', '=', subscription_id)
      .executeTakeFirst();
    if (numDeletedRows > 0n) await sql`select disable_subscription(${subscription_id}, null)`.execute(trx);
    return numDeletedRows > 0n;
  });
}
