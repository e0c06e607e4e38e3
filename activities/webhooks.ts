import { ApplicationFailure, Context } from '@temporalio/activity';
import { Webhook } from 'standardwebhooks';
import type { Db } from '../db/index.ts';
import { finishDelivery, openDelivery } from '../db/webhooks.ts';
import { decrypt, webhookSecretContext } from '../src/crypto.ts';
import { EgressBlockedError } from '../src/fetch.ts';
import type { WebhookDelivery } from '../workflows/messages.ts';
import type { ActivityDeps } from './deps.ts';

const timeout_ms = 15_000;
const maxAnswer = 300;

/** The schedule that Standard Webhooks recommends: about three days. */
const retryDelays = ['5s', '5m', '30m', '2h', '5h', '10h', '14h', '20h', '24h'] as const;

export function createWebhookActivities({ db, fetch, encryptionKey }: ActivityDeps) {
  return {
    /**
     * Posts one event to the run's webhook, or to an escalation webhook, signed as in Standard Webhooks (https://www.standardwebhooks.com).
     * The id and the body stay the same over all attempts, also when a person has it sent again. Any answer but 2xx,
     * redirects too, is a failure that is tried again; 410, and an address that may not be called, end the attempts,
     * 410 also those of the run's other events to it. A secret that was replaced a day ago or less signs too.
     */
    async deliverWebhook(sent: WebhookDelivery): Promise<{ status: number }> {
      const { run_id, sequence, event, waiting_tasks, escalates, redelivery } = sent;
      const named = { delivery_id: `msg_${run_id}_${sequence}`, run_id, event };
      const body = JSON.stringify({ run_id, event, waiting_tasks });
      const delivery = await openDelivery(db, { ...named, body, escalates }, { by_hand: redelivery !== undefined });
      if (!delivery) return { status: 0 };
      const { delivery_id, account_id, url, secrets_encrypted } = delivery;
      const now = new Date();
      const signatures = secrets_encrypted.map((blob) => {
        const secret = decrypt(blob, encryptionKey, webhookSecretContext(account_id));
        return new Webhook(secret).sign(delivery_id, now, delivery.body);
      });
      const response = await fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': 'Orchflow',
          'webhook-id': delivery_id,
          'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
          'webhook-signature': signatures.join(' '),
        },
        body: delivery.body,
        signal: AbortSignal.timeout(timeout_ms),
      }).catch((error: unknown) => {
        if (!(error instanceof EgressBlockedError)) return fail(db, delivery_id, 'no answer from the endpoint');
        const isRedirect = error.status !== undefined;
        return fail(db, delivery_id, error.message, { final: !isRedirect });
      });
      if (!response.ok) {
        const is_gone = response.status === 410;
        const answer = await beginning(response);
        return fail(db, delivery_id, `HTTP ${response.status}`, { final: is_gone, is_gone, answer });
      }
      await response.body?.cancel();
      await finishDelivery(db, delivery_id, { status: 'delivered', last_response: `HTTP ${response.status}` });
      return { status: response.status };
    },
  };
}

/**
 * Notes a failed attempt and throws it. After a final one, or the last, the delivery has failed for good. What the
 * endpoint answered is for its owner: it does not go into the history.
 */
async function fail(
  db: Db,
  delivery_id: string,
  reason: string,
  { final = false, is_gone = false, answer = '' } = {},
): Promise<never> {
  const nextRetryDelay = final ? undefined : retryDelays[Context.current().info.attempt - 1];
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
