import { ApplicationFailure } from '@temporalio/activity';
import { Webhook } from 'standardwebhooks';
import { finishDelivery, openDelivery } from '../db/webhooks.ts';
import { decrypt, webhookSecretContext } from '../src/crypto.ts';
import { EgressBlockedError } from '../src/llm/index.ts';
import type { WebhookDelivery } from '../workflows/webhook.ts';
import type { ActivityDeps } from './index.ts';

const timeout_ms = 15_000;

export function createWebhookActivities({ db, fetch, encryptionKey }: ActivityDeps) {
  return {
    /**
     * Posts one event to the run's webhook, signed as in Standard Webhooks (https://www.standardwebhooks.com).
     * The id and the body stay the same over all attempts. Any answer but 2xx is a failure; 410 ends the attempts.
     */
    async deliverWebhook({ run_id, sequence, event, waiting_tasks }: WebhookDelivery): Promise<{ status: number }> {
      const body = JSON.stringify({ run_id, event, waiting_tasks });
      const delivery = await openDelivery(db, { delivery_id: `msg_${run_id}_${sequence}`, run_id, event, body });
      if (!delivery) return { status: 0 };
      const { delivery_id, account_id, webhook_url, webhook_secret_encrypted } = delivery;
      const secret = decrypt(webhook_secret_encrypted, encryptionKey, webhookSecretContext(account_id));
      const now = new Date();
      const response = await fetch(webhook_url, {
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
      }).catch(async (error: unknown) => {
        const reason = error instanceof EgressBlockedError ? error.message : 'no answer from the endpoint';
        await finishDelivery(db, delivery_id, 'pending', reason);
        throw ApplicationFailure.create({ type: 'WebhookUnreachable', message: reason, nonRetryable: error instanceof EgressBlockedError });
      });
      await response.body?.cancel();
      await finishDelivery(db, delivery_id, response.ok ? 'delivered' : 'pending', `HTTP ${response.status}`);
      if (response.ok) return { status: response.status };
      throw ApplicationFailure.create({
        type: 'WebhookRefused',
        message: `The endpoint answered ${response.status}.`,
        nonRetryable: response.status === 410,
      });
    },
  };
}
