import { Context } from '@temporalio/activity';
import { insertRunDelivery } from '../db/webhooks.ts';
import type { RunDelivery } from '../workflows/contract/inputs.ts';
import type { ActivityDeps } from './deps.ts';

/** How the URLs that a run names are told of it. */
export function createWebhookActivities({ db, courier }: ActivityDeps) {
  return {
    /** Has an event sent, once. Its workflow names what it tells, and writes no bodies. */
    async deliverWebhook(delivery: RunDelivery): Promise<void> {
      // Workers of 0.1.0 attempted it by tries of this activity, and counted there what had failed.
      const failures = Number(Context.current().info.heartbeatDetails ?? 0);
      await insertRunDelivery(db, delivery, failures);
      courier.look();
    },
  };
}
