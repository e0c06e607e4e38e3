import { ApplicationFailure, Context } from '@temporalio/activity';
import { Webhook } from 'standardwebhooks';
import type { Db } from '../db/index.ts';
import { finishDelivery, openDelivery } from '../db/webhooks.ts';
import { decrypt, webhookSecretContext } from '../src/crypto.ts';
import { EgressBlockedError } from '../src/llm/index.ts';
import type { WebhookDelivery } from '../workflows/messages.ts';
import type { ActivityDeps } from './deps.ts';

const timeout_ms = 15_000;

/** The schedule that Standard Webhooks recommends: about three days. */
const retryDelays = ['5s', '5m', '30m', '2h', '5h', '10h', '14h', '20h', '24h'] as const;

export function createWebhookActivities({ db, fetch, encryptionKey }: ActivityDeps) {
  return {
    /**
     * Posts one event to the run's webhook, or to an escalation webhook, signed as in Standard Webhooks (https://www.standardwebhooks.com).
     * The id and the body stay the same over all attempts. Any answer but 2xx, redirects too, is a failure that is
     * tried again; 410, and an address that may not be called, end the attempts.
     */
    async deliverWebhook(sent: WebhookDelivery): Promise<{ status: number }> {
      const { run_id, sequence, event, waiting_tasks, escalates } = sent;
      const body = JSON.stringify({ run_id, event, waiting_tasks });
      const delivery_id = `msg_${run_id}_${sequence}`;
      const delivery = await openDelivery(db, { delivery_id, run_id, event, body, escalates });
      if (!delivery) return { status: 0 };
      const { account_id, url, webhook_secret_encrypted } = delivery;
      const secret = decrypt(webhook_secret_encrypted, encryptionKey, webhookSecretContext(account_id));
      const now = new Date();
      const response = await fetch(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': 'Orchflow',
          'webhook-id': delivery_id,
          'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
          'webhook-signature': new Webhook(secret).sign(delivery_id, now, delivery.body),
        },
        body: delivery.body,
        signal: AbortSignal.timeout(timeout_ms),
      }).catch((error: unknown) => {
        if (!(error instanceof EgressBlockedError)) return fail(db, delivery_id, 'no answer from the endpoint');
        const isRedirect = error.status !== undefined;
        return fail(db, delivery_id, error.message, { final: !isRedirect });
      });
      await response.body?.cancel();
      if (!response.ok) return fail(db, delivery_id, `HTTP ${response.status}`, { final: response.status === 410 });
      await finishDelivery(db, delivery_id, 'delivered', `HTTP ${response.status}`);
      return { status: response.status };
    },
  };
}

/** Notes a failed attempt and throws it. After a final one, or the last, the delivery has failed for good. */
async function fail(db: Db, delivery_id: string, reason: string, { final = false } = {}): Promise<never> {
  const nextRetryDelay = final ? undefined : retryDelays[Context.current().info.attempt - 1];
  await finishDelivery(db, delivery_id, nextRetryDelay ? 'pending' : 'failed', reason);
  const nonRetryable = nextRetryDelay === undefined;
  throw ApplicationFailure.create({ type: 'WebhookNotDelivered', message: reason, nonRetryable, nextRetryDelay });
}
