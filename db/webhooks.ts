import { sql } from 'kysely';
import type { Db } from './index.ts';
import { queuedAccounts } from './queued-accounts.ts';
import { withinLimit } from './limits.ts';
import type { RunDelivery } from '../workflows/contract/inputs.ts';
import type { RunStatus } from '../workflows/contract/states.ts';
import type { WebhookDelivery } from './schema.ts';

/**
 * What is sent to webhooks waits here for its attempts: as long as `next_attempt_at` stands, a worker takes it when it is due.
 */

const atOnce = sql<string>`now()`;

/**
 * Has an event of a run sent to its webhook, or to an escalation webhook, once; also of one that is purged, but for
 * escalations, whose gate is closed. What processes of 0.1.0 have written down, and tried so often, goes on from there.
 */
export async function insertRunDelivery(
  db: Db,
  { run_id, sequence, event, waiting_tasks, escalates }: RunDelivery,
  failures = 0,
): Promise<void> {
  const body = JSON.stringify({ run_id, event, waiting_tasks });
  // An entry of `human_gates` may name an escalation webhook of its own.
  const url = escalates
    ? sql`coalesce(human_gates -> ${escalates.human_gate}::int ->> 'escalation_webhook_url', escalation_webhook_url)`
    : sql`null::text`;
  await sql`
    insert into webhook_deliveries (delivery_id, run_id, account_id, event, body, url, failures, next_attempt_at)
    select ${`msg_${run_id}_${sequence}`}, run_id, owner_of(run_id), ${event}, ${body}, to_url, ${failures}::integer, now()
    from runs, lateral (select ${url} as to_url) as target
    where run_id = ${run_id} and owner_of(run_id) is not null and (to_url is not null or not ${Boolean(escalates)})
    on conflict (delivery_id) do update set failures = excluded.failures, next_attempt_at = excluded.next_attempt_at
      where webhook_deliveries.status = 'pending' and webhook_deliveries.next_attempt_at is null`.execute(db);
}

/** The numbers of what the workflow of the second try of a run tells are above this one, and so on. */
export const webhooksPerTry = 1_000_000;

/** The highest number that a workflow of this run has given to what its webhook is told. */
export async function countRunDeliveries(db: Db, run_id: string): Promise<number> {
  const number = sql<number>`coalesce(max(substring(delivery_id, '_([0-9]+)$')::bigint), 0)`;
  const { sent } = await db
    .selectFrom('webhook_deliveries')
    .select(number.as('sent'))
    .where('run_id', '=', run_id)
    .where('subscription_id', 'is', null)
    .executeTakeFirstOrThrow();
  return sent;
}

/** Has the run's own webhook told of its end, once for each try of the run, where its workflow cannot. */
export function insertEndDelivery(
  db: Db,
  { run_id, status, attempt }: { run_id: string; status: RunStatus; attempt: number },
): Promise<void> {
  const sequence = attempt > 1 ? `${status}-${attempt}` : status;
  return insertRunDelivery(db, { run_id, sequence, event: status, waiting_tasks: [] });
}

/** Has a delivery sent that a process of 0.1.0 has opened again. */
export async function queueDelivery(db: Db, delivery_id: string): Promise<void> {
  await db
    .updateTable('webhook_deliveries')
    .set({ next_attempt_at: atOnce })
    .where('delivery_id', '=', delivery_id)
    .where('status', '=', 'pending')
    .where('next_attempt_at', 'is', null)
    .execute();
}

/** Not of a run that is purged. */
const isFound = sql<boolean>`
  not exists (select from purged_runs where purged_runs.run_id = webhook_deliveries.run_id)`;

/** The accounts that have something to send now, in any order. Of a suspended one all waits. */
export async function listAccountsWithDue(db: Db): Promise<string[]> {
  const { rows } = await sql<{ account_id: string }>`
    with recursive ${queuedAccounts('webhook_deliveries', sql`next_attempt_at is not null`)}
    select account_id from queued join accounts using (account_id)
    where suspended_at is null and exists (
      select from webhook_deliveries as due
      where due.account_id = queued.account_id and due.next_attempt_at <= now())
    order by random()`.execute(db);
  return rows.map(({ account_id }) => account_id);
}

/** Where, what and with which secrets to send, the own one first. */
export type TakenDelivery = Pick<
  WebhookDelivery,
  'delivery_id' | 'account_id' | 'subscription_id' | 'event' | 'body' | 'failures'
> & { url: string; last_attempt_at: string; secrets_encrypted: string[] };

/**
 * Takes the delivery of an account that is due longest, and counts the attempt. Undefined when none is, or another process
 * has it. One whose outcome is not told within half a minute is due again. Not sent, and noted as `disabled`, is what
 * has no URL any more, what is for a subscription that is no more active, and what is for an endpoint that said 410 Gone to
 * another event of the run; but when a person sends it again it is, for they know better.
 */
export async function takeDelivery(db: Db, account_id: string): Promise<TakenDelivery | undefined> {
  const { rows } = await sql<TakenDelivery>`select * from take_delivery(${account_id})`.execute(db);
  return rows[0];
}

/** `retry_ms`: after so long it is tried again; null when that was the last attempt. */
export type DeliveryOutcome =
  | { status: 'delivered'; last_response: string }
  | { status: 'failed'; last_response: string; retry_ms: number | null; is_gone: boolean };

/**
 * Notes the outcome of an attempt: HTTP status and the beginning of the answer, or why there is none. To a subscription,
 * events of a run go in their order: the next one goes once this one has arrived, or has failed three times. A subscription
 * is disabled when its endpoint is gone, or when an event is given up and none has arrived for three days.
 */
export async function finishDelivery(db: Db, delivery_id: string, outcome: DeliveryOutcome): Promise<void> {
  const { retry_ms = null, is_gone = false } = outcome.status === 'failed' ? outcome : {};
  const status = retry_ms === null ? outcome.status : 'pending';
  await sql`
    select finish_delivery(
      ${delivery_id}, ${status}, ${outcome.last_response}, ${retry_ms && retry_ms / 1_000}::float8, ${is_gone}::boolean)`.execute(
    db,
  );
}

export type DeliveryView = Pick<WebhookDelivery, (typeof viewColumns)[number]>;

const viewColumns = [
  'delivery_id',
  'run_id',
  'subscription_id',
  'event',
  'status',
  'attempts',
  'last_response',
  'created_at',
  'last_attempt_at',
  'delivered_at',
] as const;

/** The account's deliveries, newest first. */
export function listDeliveries(
  db: Db,
  account_id: string,
  filter: {
    limit: number;
    after?: { created_at: string; id: string };
    run_id?: string;
    subscription_id?: string;
    status?: WebhookDelivery['status'];
  },
): Promise<DeliveryView[]> {
  const { limit, after, run_id, subscription_id, status } = filter;
  return db
    .selectFrom('webhook_deliveries')
    .select(viewColumns)
    .where('account_id', '=', account_id)
    .where(isFound)
    .$if(run_id !== undefined, (query) => query.where('run_id', '=', run_id!))
    .$if(subscription_id !== undefined, (query) => query.where('subscription_id', '=', subscription_id!))
    .$if(status !== undefined, (query) => query.where('status', '=', status!))
    .$if(after !== undefined, (query) =>
      query.where(sql<boolean>`(created_at, delivery_id) < (${after!.created_at}::timestamptz, ${after!.id})`),
    )
    .orderBy('created_at', 'desc')
    .orderBy('delivery_id', 'desc')
    .limit(limit)
    .execute();
}

/** What people have sent by hand, and is under way still: each time counts. */
function byHand(account_id: string, most: number) {
  const others = sql<{ count: number }>`
    select coalesce(sum(redeliveries), 0)::integer as count from webhook_deliveries
    where account_id = ${account_id} and status = 'pending' and redeliveries > 0`;
  return { what: 'redeliveries under way', most, others } as const;
}

/**
 * Sends something to a subscription by hand, as an event of no run. Undefined when the account has no subscription of this
 * id. A retry finds what its first try has sent. Throws `LimitReached` when `most` redeliveries may be under way.
 */
export function insertTestDelivery(
  db: Db,
  account_id: string,
  { subscription_id, ...delivery }: Record<'delivery_id' | 'event' | 'body' | 'subscription_id', string>,
  most: number,
): Promise<DeliveryView | undefined> {
  return withinLimit(db, account_id, byHand(account_id, most), async (trx) => {
    const subscription = await trx
      .selectFrom('webhook_subscriptions')
      .select(['account_id', 'subscription_id', 'url'])
      .where('account_id', '=', account_id)
      .where('subscription_id', '=', subscription_id)
      .executeTakeFirst();
    if (!subscription) return undefined;
    return trx
      .insertInto('webhook_deliveries')
      .values({ ...delivery, ...subscription, redeliveries: 1, next_attempt_at: atOnce })
      .onConflict((conflict) => conflict.column('delivery_id').doUpdateSet({ event: delivery.event }))
      .returning(viewColumns)
      .executeTakeFirstOrThrow();
  });
}

/**
 * Has a delivery sent again, at once. The endpoint counts as living again. `missing`: this account has none of this id, or
 * the subscription that it was for is gone. Throws `LimitReached` when `most` redeliveries may be under way.
 */
export function redeliver(
  db: Db,
  account_id: string,
  delivery_id: string,
  most: number,
): Promise<DeliveryView | { missing: 'Delivery' | 'Subscription' }> {
  return withinLimit(db, account_id, byHand(account_id, most), async (trx) => {
    const found = await trx
      .selectFrom('webhook_deliveries')
      .leftJoin('webhook_subscriptions as subscriptions', (join) =>
        join.onRef('subscriptions.subscription_id', '=', 'webhook_deliveries.subscription_id'),
      )
      .select(['run_id', 'webhook_deliveries.url', 'webhook_deliveries.subscription_id'])
      .select('subscriptions.subscription_id as subscribed')
      .where('delivery_id', '=', delivery_id)
      .where('webhook_deliveries.account_id', '=', account_id)
      .where(isFound)
      .executeTakeFirst();
    if (!found) return { missing: 'Delivery' };
    if (found.subscription_id !== found.subscribed) return { missing: 'Subscription' };
    await trx
      .updateTable('webhook_deliveries')
      .set({ is_gone: false })
      .where('account_id', '=', account_id)
      .where('run_id', 'is not distinct from', found.run_id)
      .where('url', 'is not distinct from', found.url)
      .where('is_gone', '=', true)
      .execute();
    return trx
      .updateTable('webhook_deliveries')
      .set({ status: 'pending', delivered_at: null, failures: 0, next_attempt_at: atOnce })
      .set({ redeliveries: sql`redeliveries + 1` })
      .where('delivery_id', '=', delivery_id)
      .returning(viewColumns)
      .executeTakeFirstOrThrow();
  });
}

const deletedAtOnce = 5_000;

/** Deletes deliveries of no run that are older than so many days, and not on their way. */
export async function deleteOldAccountDeliveries(db: Db, days: number, signal: AbortSignal): Promise<void> {
  const old = sql`created_at < now() - make_interval(days => ${days}) and next_attempt_at is null`;
  const some = sql`
    select ctid from webhook_deliveries where run_id is null and ${old} limit ${deletedAtOnce} for update skip locked`;
  for (let deleted = deletedAtOnce; deleted === deletedAtOnce && !signal.aborted;) {
    const { numAffectedRows } = await sql`delete from webhook_deliveries where ctid = any(array(${some}))`.execute(db);
    deleted = Number(numAffectedRows);
  }
}
