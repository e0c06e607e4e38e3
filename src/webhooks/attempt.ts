import { Webhook } from 'standardwebhooks';
import type { DeliveryOutcome, TakenDelivery } from '../../db/webhooks.ts';
import { decrypt, OtherKeyError, subscriptionSecretContext, webhookSecretContext, type KeyRing } from '../crypto.ts';
import { describeNoAnswer, EgressBlockedError, retryAfter } from '../fetch/index.ts';
import { testEvent } from './test-event.ts';

const timeout_ms = 15_000;
const maxAnswer = 300;

const minute = 60_000;
const hour = 60 * minute;

/** The schedule that Standard Webhooks recommends: about three days. An endpoint may ask for more time, up to a day. */
const retryDelays = [5_000, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour];
const maxRetryDelay = 24 * hour;

/**
 * Posts a delivery to its endpoint, signed as in Standard Webhooks (https://www.standardwebhooks.com), and says how that
 * went. The id and the body stay the same over all attempts, also when a person has it sent again. Any answer but 2xx,
 * redirects too, is a failure that is tried again; 410, and an address that may not be called, end the attempts. A secret
 * that was replaced a day ago or less signs too.
 */
export async function attemptDelivery(
  { fetch, encryptionKey }: { fetch: typeof globalThis.fetch; encryptionKey: KeyRing },
  delivery: TakenDelivery,
): Promise<DeliveryOutcome> {
  const { delivery_id, url, body } = delivery;
  // The time of Postgres: receivers refuse what a worker with a wrong clock would sign.
  const now = new Date(delivery.last_attempt_at);
  const signatures = delivery.secrets_encrypted.map((blob) => {
    const secret = openSecret(blob, encryptionKey, delivery);
    return secret && new Webhook(secret).sign(delivery_id, now, body);
  });
  // Those of secrets that were replaced are for receivers that are late; the newest must be there.
  if (!signatures[0]) return failed(delivery, unsigned(delivery));
  const answer = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'Orchflow',
      'webhook-id': delivery_id,
      'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
      'webhook-signature': signatures.filter(Boolean).join(' '),
    },
    body,
    signal: AbortSignal.timeout(timeout_ms),
  }).catch((error: unknown) => unanswered(delivery, error));
  if ('last_response' in answer) return answer;
  if (!answer.ok) {
    const is_gone = answer.status === 410;
    const wait_ms = retryAfter(answer.headers);
    return failed(delivery, `HTTP ${answer.status}`, {
      final: is_gone,
      is_gone,
      wait_ms,
      said: await beginning(answer),
    });
  }
  await answer.body?.cancel();
  return { status: 'delivered', last_response: `HTTP ${answer.status}` };
}

function unanswered(delivery: TakenDelivery, error: unknown): DeliveryOutcome {
  if (!(error instanceof EgressBlockedError)) {
    return failed(delivery, `no answer from the endpoint: ${describeNoAnswer(error, timeout_ms)}`);
  }
  const isRedirect = error.status !== undefined;
  return failed(delivery, error.message, { final: !isRedirect });
}

function unsigned({ subscription_id }: TakenDelivery): string {
  const rotate = subscription_id === null ? 'secret/rotate' : `subscriptions/${subscription_id}/rotate-secret`;
  return (
    'not sent: it cannot be signed, because this server has not the ENCRYPTION_KEY of your webhook secret. ' +
    `Its operator must set that key, or you make a new secret (POST /api/v1/webhooks/${rotate})`
  );
}

/** Undefined when it is encrypted with a key that this process does not have. */
function openSecret(blob: string, keys: KeyRing, { account_id, subscription_id }: TakenDelivery): string | undefined {
  const context =
    subscription_id === null
      ? webhookSecretContext(account_id)
      : subscriptionSecretContext(account_id, subscription_id);
  try {
    return decrypt(blob, keys, context);
  } catch (error) {
    if (error instanceof OtherKeyError) return undefined;
    throw error;
  }
}

/** After a final attempt, or the last one, the delivery has failed for good. A test is made once. */
function failed(
  { event, failures }: TakenDelivery,
  reason: string,
  { final = false, is_gone = false, wait_ms = 0, said = '' } = {},
): DeliveryOutcome {
  const scheduled = final || event === testEvent ? undefined : retryDelays[failures];
  const retry_ms = scheduled ? Math.max(scheduled, Math.min(wait_ms, maxRetryDelay)) : null;
  return { status: 'failed', last_response: said ? `${reason}: ${said}` : reason, retry_ms, is_gone };
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
