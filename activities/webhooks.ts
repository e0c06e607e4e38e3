import { ApplicationFailure, Context } from '@temporalio/activity';
import { Webhook } from 'standardwebhooks';
import type { Db } from '../db/index.ts';
import { finishDelivery, getOwner, insertRunDelivery, openDelivery } from '../db/webhooks.ts';
import { decrypt, OtherKeyError, webhookSecretContext, type KeyRing } from '../src/crypto.ts';
import { describeNoAnswer, EgressBlockedError, retryAfter } from '../src/fetch/index.ts';
import type { RunDelivery, WebhookDelivery } from '../workflows/contract/inputs.ts';
import type { ActivityDeps } from './deps.ts';
import { createPlaces, putOff, whileSuspended } from './places.ts';

const timeout_ms = 15_000;
const maxAnswer = 300;

const minute = 60_000;
const hour = 60 * minute;

/** The schedule that Standard Webhooks recommends: about three days. An endpoint may ask for more time, up to a day. */
const retryDelays = [5_000, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour];
const maxRetryDelay = 24 * hour;

/** How the URLs that a run names are told of it. */
export function createWebhookActivities(deps: ActivityDeps) {
  // Of one account at most 20.
  const places = createPlaces(100, 1 / 4);

  return {
    /**
     * `deliver`, when there is a place for it beside the others; else it is tried again in a few seconds, and in longer
     * while the account is suspended.
     */
    async deliverWebhook(sent: WebhookDelivery): Promise<{ status: number }> {
      const { account_id, suspended_ms } = await getOwner(deps.db, sent);
      if (suspended_ms !== null) throw whileSuspended(suspended_ms);
      const leave = places.take(account_id);
      if (!leave) throw putOff('WebhookQueued', 'Many webhooks are under way; this one waits until there is room.');
      return deliver(deps, sent).finally(leave);
    },
  };
}

/** An event of a run is written down when it is first sent: its workflow names what it tells, and writes no bodies. */
async function writeDown(db: Db, { run_id, sequence, event, waiting_tasks, escalates }: RunDelivery): Promise<string> {
  const delivery_id = `msg_${run_id}_${sequence}`;
  const body = JSON.stringify({ run_id, event, waiting_tasks });
  await insertRunDelivery(db, { delivery_id, run_id, event, body, escalates });
  return delivery_id;
}

/**
 * Posts one event to a webhook, signed as in Standard Webhooks (https://www.standardwebhooks.com).
 * The id and the body stay the same over all attempts, also when a person has it sent again. Any answer but 2xx,
 * redirects too, is a failure that is tried again; 410, and an address that may not be called, end the attempts,
 * 410 also those of the run's other events to it. A secret that was replaced a day ago or less signs too.
 */
async function deliver({ db, fetch, encryptionKey }: ActivityDeps, sent: WebhookDelivery): Promise<{ status: number }> {
  const id = 'run_id' in sent ? await writeDown(db, sent) : sent.delivery_id;
  const delivery = await openDelivery(db, id, { by_hand: Boolean(sent.redelivery) });
  if (!delivery) return { status: 0 };
  const { delivery_id, account_id, url, secrets_encrypted } = delivery;
  // The time of Postgres: receivers refuse what a worker with a wrong clock would sign.
  const now = new Date(delivery.last_attempt_at);
  const signatures = secrets_encrypted.map((blob) => {
    const secret = openSecret(blob, encryptionKey, account_id);
    return secret && new Webhook(secret).sign(delivery_id, now, delivery.body);
  });
  // Those of secrets that were replaced are for receivers that are late; the account's own must be there.
  if (!signatures[0]) return fail(db, delivery_id, unsigned);
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'Orchflow',
      'webhook-id': delivery_id,
      'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
      'webhook-signature': signatures.filter(Boolean).join(' '),
    },
    body: delivery.body,
    signal: AbortSignal.timeout(timeout_ms),
  }).catch((error: unknown) => {
    if (!(error instanceof EgressBlockedError)) {
      return fail(db, delivery_id, `no answer from the endpoint: ${describeNoAnswer(error, timeout_ms)}`);
    }
    const isRedirect = error.status !== undefined;
    return fail(db, delivery_id, error.message, { final: !isRedirect });
  });
  if (!response.ok) {
    const is_gone = response.status === 410;
    const wait_ms = retryAfter(response.headers);
    const answer = await beginning(response);
    return fail(db, delivery_id, `HTTP ${response.status}`, { final: is_gone, is_gone, wait_ms, answer });
  }
  await response.body?.cancel();
  await finishDelivery(db, delivery_id, { status: 'delivered', last_response: `HTTP ${response.status}` });
  return { status: response.status };
}

const unsigned =
  'not sent: it cannot be signed, because this server has not the ENCRYPTION_KEY of your webhook secret. ' +
  'Its operator must set that key, or you make a new secret (POST /api/v1/webhooks/secret/rotate)';

/** Undefined when it is encrypted with a key that this process does not have. */
function openSecret(blob: string, keys: KeyRing, account_id: string): string | undefined {
  try {
    return decrypt(blob, keys, webhookSecretContext(account_id));
  } catch (error) {
    if (error instanceof OtherKeyError) return undefined;
    throw error;
  }
}

/**
 * Notes a failed attempt and throws it. After a final one, or the last, the delivery has failed for good. What the
 * endpoint answered is for its owner: it does not go into the history.
 */
async function fail(
  db: Db,
  delivery_id: string,
  reason: string,
  { final = false, is_gone = false, wait_ms = 0, answer = '' } = {},
): Promise<never> {
  const context = Context.current();
  // A retry finds it. The number of its attempt counts those as well that found no room.
  const failures = Number(context.info.heartbeatDetails ?? 0);
  context.heartbeat(failures + 1);
  const scheduled = final ? undefined : retryDelays[failures];
  const nextRetryDelay = scheduled && Math.max(scheduled, Math.min(wait_ms, maxRetryDelay));
  const last_response = answer ? `${reason}: ${answer}` : reason;
  await finishDelivery(db, delivery_id, { status: nextRetryDelay ? 'pending' : 'failed', last_response, is_gone });
  const nonRetryable = nextRetryDelay === undefined;
  throw ApplicationFailure.create({ type: 'WebhookNotDelivered', message: reason, nonRetryable, nextRetryDelay });
}

/** The first words of an answer, on one line. The rest is not read. */
async function beginning({ body }: Response): Promise<string> {
  let text = '';
  const decoder = new TextDecoder();
  try {
    for await (const chunk of body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length >= maxAnswer) break;
    }
  } catch {
    // It was cut: what has come says enough.
  }
  const line = text.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim();
  return line.length > maxAnswer ? `${line.slice(0, maxAnswer).toWellFormed()}…` : line;
}
