import type { Db } from '../../db/index.ts';
import { accountEventTypes } from '../../workflows/contract/events.ts';
import {
  deleteSubscription,
  findSubscription,
  insertSubscription,
  updateSubscription,
  type SubscriptionChange,
  type SubscriptionView,
} from '../../db/webhook-subscriptions.ts';
import { encrypt, newWebhookSecret, subscriptionSecretContext, type KeyRing } from '../crypto.ts';
import { notFound } from '../errors.ts';
import { requireCallable, type CheckAddress } from '../fetch/index.ts';
import { newId, type IdSeed } from '../ids.ts';

/** Who hears of the events of an account, whichever surface calls them how. */

/**
 * Events in OrchStack's words: of runs of agents and of orchestrations, which have others at `/api/v1`
 * (`workflows/contract/events.ts`, `db/functions/agent_event.sql`), and of documents.
 */
export const agentEvents = [
  'agent.run.completed',
  'agent.run.failed',
  'agent.gate.pending',
  ...accountEventTypes,
] as const;

type Deps = { db: Db; checkAddress: CheckAddress };

export function newSubscriptionSecret(keys: KeyRing, account_id: string, subscription_id: string) {
  const secret = newWebhookSecret();
  return { secret, secret_encrypted: encrypt(secret, keys, subscriptionSecretContext(account_id, subscription_id)) };
}

/**
 * Subscribes an account to events, and returns the secret that signs them, which is not told again. Throws
 * `InvalidInputError` for an address that may not be called, and `LimitReached` when it has `most` subscriptions.
 */
export async function subscribe(
  { db, checkAddress }: Deps,
  account_id: string,
  { url, events, description = '' }: { url: string; events: string[]; description?: string },
  { keys, most }: { keys: KeyRing; most: number },
  idempotency: IdSeed | undefined,
): Promise<SubscriptionView & { secret: string }> {
  requireCallable(checkAddress, [[['url'], url]]);
  const subscription_id = newId('webhook_subscription', idempotency);
  const { secret, secret_encrypted } = newSubscriptionSecret(keys, account_id, subscription_id);
  const row = { subscription_id, account_id, url, events, description: description || null, secret_encrypted };
  return { ...(await insertSubscription(db, row, most)), secret };
}

/** Throws `NOT_FOUND`. */
export async function getSubscription(
  { db }: Pick<Deps, 'db'>,
  account_id: string,
  subscription_id: string,
): Promise<SubscriptionView> {
  const found = await findSubscription(db, account_id, subscription_id);
  if (!found) throw notFound('Subscription');
  return found;
}

/**
 * Changes a subscription; what is not given stays. `check` is shown what it is, held until it is changed, and refuses the
 * change by what it throws. Throws `NOT_FOUND`, and `InvalidInputError` for an address that may not be called.
 */
export async function changeSubscription(
  { db, checkAddress }: Deps,
  account_id: string,
  subscription_id: string,
  { description, ...given }: Omit<SubscriptionChange, 'description'> & { description?: string },
  check?: (before: SubscriptionView) => void,
): Promise<SubscriptionView> {
  requireCallable(checkAddress, [[['url'], given.url]]);
  const change = { ...given, ...(description !== undefined && { description: description || null }) };
  const updated = await updateSubscription(db, account_id, subscription_id, change, check);
  if (!updated) throw notFound('Subscription');
  return updated;
}

/** Ends a subscription: what waits to be sent is not sent any more. Throws `NOT_FOUND`. */
export async function unsubscribe(
  { db }: Pick<Deps, 'db'>,
  account_id: string,
  subscription_id: string,
): Promise<void> {
  if (!(await deleteSubscription(db, account_id, subscription_id))) throw notFound('Subscription');
}
