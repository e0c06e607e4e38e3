import { sql, type Transaction } from 'kysely';
import { suspendedMs } from './accounts.ts';
import type { Db } from './index.ts';
import { withinLimit } from './limits.ts';
import { insertOutboxEntry, type OutboxEntry } from './outbox.ts';
import type { RunDelivery } from '../workflows/contract/inputs.ts';
import type { Database, WebhookDelivery } from './schema.ts';

type NewDelivery = { delivery_id: string; event: string; body: string };

type Owner = { account_id: string; suspended_ms: number | null };

/** Whose run, or whose delivery, it is, and for how long that account has been suspended. Throws when there is no such. */
export function getOwner(db: Db, of: { run_id: string } | { delivery_id: string }): Promise<Owner> {
  const owned =
    'run_id' in of
      ? db.selectFrom('runs').select('account_id').where('run_id', '=', of.run_id)
      : db.selectFrom('webhook_deliveries').select('account_id').where('delivery_id', '=', of.delivery_id);
  return db
    .selectFrom('accounts')
    .select(['account_id', suspendedMs.as('suspended_ms')])
    .where('account_id', '=', owned)
    .executeTakeFirstOrThrow();
}

/** Writes down an event of a run, once, for its webhook or an escalation webhook. */
export async function insertRunDelivery(
  db: Db,
  { escalates, ...delivery }: NewDelivery & { run_id: string } & Pick<RunDelivery, 'escalates'>,
): Promise<void> {
  await db
    .insertInto('webhook_deliveries')
    .values((eb) => ({
      ...delivery,
      url: escalates && escalationUrl(delivery.run_id, escalates.human_gate),
      account_id: eb.selectFrom('runs').select('account_id').where('run_id', '=', delivery.run_id).$asScalar(),
    }))
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Of this entry of `human_gates`, which may name one of its own, else of the run. */
function escalationUrl(run_id: string, human_gate: number | null) {
  return sql<string>`(
    select coalesce(human_gates -> ${human_gate}::int ->> 'escalation_webhook_url', escalation_webhook_url)
    from runs where run_id = ${run_id})`;
}

/** Commits an event that is of an account and of no run, with the outbox entry that sends it to `url`. */
export async function insertAccountDelivery(
  trx: Transaction<Database>,
  delivery: NewDelivery & { account_id: string; url: string },
): Promise<OutboxEntry | undefined> {
  await trx.insertInto('webhook_deliveries').values(delivery).execute();
  const { delivery_id, account_id, event } = delivery;
  const message = { kind: 'redeliver' as const, delivery_id, event, redelivery: 0 };
  return insertOutboxEntry(trx, { run_id: null, account_id }, message);
}

/**
 * Counts an attempt of a delivery, and returns where, what and with which secrets to send. Undefined when there is
 * nothing to do: it was delivered before, there is no webhook, or the endpoint said 410 Gone to another event of the run;
 * this one is then noted as `disabled`. A person who sends it again knows better.
 */
export async function openDelivery(db: Db, delivery_id: string, { by_hand }: { by_hand: boolean }) {
  if (!by_hand && (await disableIfGone(db, delivery_id))) return undefined;
  const opened = await db
    .updateTable('webhook_deliveries')
    .from('accounts')
    .set({ attempts: sql`attempts + 1`, last_attempt_at: sql`now()` })
    .whereRef('accounts.account_id', '=', 'webhook_deliveries.account_id')
    .where('delivery_id', '=', delivery_id)
    .where('status', '=', 'pending')
    .where(url, 'is not', null)
    .returning(['delivery_id', 'body', 'last_attempt_at', 'accounts.account_id', url.as('url')])
    .returning('accounts.webhook_secret_encrypted')
    .$narrowType<{ last_attempt_at: string }>()
    .executeTakeFirst();
  if (!opened) return undefined;
  const { webhook_secret_encrypted, ...rest } = opened;
  const retired = await listRetiredSecrets(db, opened.account_id);
  return { ...rest, secrets_encrypted: [webhook_secret_encrypted, ...retired] };
}

const url = sql<string>`coalesce(
  webhook_deliveries.url, (select webhook_url from runs where runs.run_id = webhook_deliveries.run_id))`;

/** An endpoint that is gone for one event of a run, or for one of an account's own, is gone for the others. */
async function disableIfGone(db: Db, delivery_id: string): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('webhook_deliveries')
    .set({ status: 'disabled' })
    .where('delivery_id', '=', delivery_id)
    .where('status', '=', 'pending')
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom('webhook_deliveries as other')
          .select('other.delivery_id')
          .where(sameEndpoint)
          .where('other.is_gone', '=', true),
      ),
    )
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

const sameEndpoint = sql<boolean>`other.url is not distinct from webhook_deliveries.url
  and (other.run_id = webhook_deliveries.run_id
       or webhook_deliveries.run_id is null and other.run_id is null and other.account_id = webhook_deliveries.account_id)`;

/** Notes the outcome of an attempt: HTTP status and the beginning of the answer, or why there is none. */
export async function finishDelivery(
  db: Db,
  delivery_id: string,
  outcome: { status: 'pending' | 'delivered' | 'failed'; last_response: string; is_gone?: boolean },
): Promise<void> {
  const delivered_at = outcome.status === 'delivered' ? sql<string>`now()` : null;
  await db
    .updateTable('webhook_deliveries')
    .set({ ...outcome, delivered_at })
    .where('delivery_id', '=', delivery_id)
    .execute();
}

export type DeliveryView = Pick<WebhookDelivery, (typeof viewColumns)[number]>;

const viewColumns = [
  'delivery_id',
  'run_id',
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
    status?: WebhookDelivery['status'];
  },
): Promise<DeliveryView[]> {
  const { limit, after, run_id, status } = filter;
  return db
    .selectFrom('webhook_deliveries')
    .select(viewColumns)
    .where('account_id', '=', account_id)
    .$if(run_id !== undefined, (query) => query.where('run_id', '=', run_id!))
    .$if(status !== undefined, (query) => query.where('status', '=', status!))
    .$if(after !== undefined, (query) =>
      query.where(sql<boolean>`(created_at, delivery_id) < (${after!.created_at}::timestamptz, ${after!.id})`),
    )
    .orderBy('created_at', 'desc')
    .orderBy('delivery_id', 'desc')
    .limit(limit)
    .execute();
}

/**
 * Opens a delivery again, with the outbox entry that sends it. The endpoint counts as living again. Undefined when this
 * account has none of this id. Throws `LimitReached` when `most` redeliveries may be under way.
 */
export function redeliver(
  db: Db,
  account_id: string,
  delivery_id: string,
  most: number,
): Promise<{ delivery: DeliveryView; entry: OutboxEntry | undefined } | undefined> {
  // Each was sent again so often at most, and each time a workflow may be at it still.
  const others = sql<{ count: number }>`
    select coalesce(sum(redeliveries), 0)::integer as count from webhook_deliveries
    where account_id = ${account_id} and status = 'pending' and redeliveries > 0`;
  return withinLimit(db, account_id, { what: 'redeliveries under way', most, others }, async (trx) => {
    const opened = await trx
      .updateTable('webhook_deliveries')
      .set({ status: 'pending', delivered_at: null, redeliveries: sql`redeliveries + 1` })
      .where('delivery_id', '=', delivery_id)
      .where('account_id', '=', account_id)
      .returning([...viewColumns, 'url', 'redeliveries'])
      .executeTakeFirst();
    if (!opened) return undefined;
    const { redeliveries: redelivery, url: own, ...delivery } = opened;
    const { run_id, event } = delivery;
    const same = trx
      .updateTable('webhook_deliveries')
      .where('account_id', '=', account_id)
      .where('run_id', 'is not distinct from', run_id)
      .where('url', 'is not distinct from', own);
    await same.set({ is_gone: false }).execute();
    const owner = run_id === null ? { run_id, account_id } : { run_id };
    const entry = await insertOutboxEntry(trx, owner, { kind: 'redeliver', delivery_id, event, redelivery });
    return { delivery, entry };
  });
}

/** How many secrets sign beside the newest; whoever changes it more often in a day has mended the first by then. */
const maxRetired = 4;

/** Those that still sign, encrypted, newest first. */
async function listRetiredSecrets(db: Db, account_id: string): Promise<string[]> {
  const rows = await db
    .selectFrom('retired_webhook_secrets')
    .select('secret_encrypted')
    .where('account_id', '=', account_id)
    .where('expires_at', '>', sql<string>`now()`)
    .orderBy('expires_at', 'desc')
    .limit(maxRetired)
    .execute();
  return rows.map((row) => row.secret_encrypted);
}

/** Replaces the secret that signs an account's webhooks. The old one signs beside it until the time that is returned. */
export function rotateWebhookSecret(db: Db, account_id: string, webhook_secret_encrypted: string): Promise<string> {
  return db.transaction().execute(async (trx) => {
    const own = trx.selectFrom('accounts').select('webhook_secret_encrypted').where('account_id', '=', account_id);
    const old = await own.forUpdate().executeTakeFirstOrThrow();
    const { expires_at } = await trx
      .insertInto('retired_webhook_secrets')
      .values({
        account_id,
        secret_encrypted: old.webhook_secret_encrypted,
        expires_at: sql`now() + interval '24 hours'`,
      })
      .returning('expires_at')
      .executeTakeFirstOrThrow();
    await trx.updateTable('accounts').set({ webhook_secret_encrypted }).where('account_id', '=', account_id).execute();
    return expires_at;
  });
}

/** Forgets the secrets that sign no more. */
export async function deleteRetiredSecrets(db: Db): Promise<void> {
  await db
    .deleteFrom('retired_webhook_secrets')
    .where('expires_at', '<', sql<string>`now()`)
    .execute();
}
