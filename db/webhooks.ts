import { sql } from 'kysely';
import type { Db } from './index.ts';

/**
 * Counts an attempt of a delivery, creating it at the first, and returns where and what to send.
 * Undefined when it was delivered before, or there is no webhook.
 */
export async function openDelivery(
  db: Db,
  {
    escalates,
    ...delivery
  }: {
    delivery_id: string;
    run_id: string;
    event: string;
    body: string;
    escalates?: { human_gate: number | null };
  },
) {
  await db
    .insertInto('webhook_deliveries')
    .values({ ...delivery, url: escalates && escalationUrl(delivery.run_id, escalates.human_gate) })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  return db
    .updateTable('webhook_deliveries')
    .from('runs')
    .innerJoin('accounts', 'accounts.account_id', 'runs.account_id')
    .set({ attempts: sql`attempts + 1` })
    .whereRef('runs.run_id', '=', 'webhook_deliveries.run_id')
    .where('delivery_id', '=', delivery.delivery_id)
    .where('webhook_deliveries.status', '=', 'pending')
    .where(url, 'is not', null)
    .returning(['delivery_id', 'body', 'runs.account_id', url.as('url'), 'accounts.webhook_secret_encrypted'])
    .executeTakeFirst();
}

/** Of this entry of `human_gates`, which may name one of its own, else of the run. */
function escalationUrl(run_id: string, human_gate: number | null) {
  return sql<string>`(
    select coalesce(human_gates -> ${human_gate}::int ->> 'escalation_webhook_url', escalation_webhook_url)
    from runs where run_id = ${run_id})`;
}

const url = sql<string>`coalesce(webhook_deliveries.url, runs.webhook_url)`;

/** Notes the outcome of an attempt. `last_response` is our own words, never the endpoint's body. */
export async function finishDelivery(
  db: Db,
  delivery_id: string,
  status: 'pending' | 'delivered' | 'failed',
  last_response: string,
): Promise<void> {
  await db
    .updateTable('webhook_deliveries')
    .set({ status, last_response, delivered_at: status === 'delivered' ? new Date().toISOString() : null })
    .where('delivery_id', '=', delivery_id)
    .execute();
}
