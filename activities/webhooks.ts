import { Context } from '@temporalio/activity';
import { escalateGate } from '../db/assignments.ts';
import { insertRunDelivery } from '../db/webhooks.ts';
import type { RunDelivery } from '../workflows/contract/inputs.ts';
import type { ActivityDeps } from './deps.ts';

/** How the URLs that a run names are told of it. */
export function createWebhookActivities({ db, live, courier }: ActivityDeps) {
  return {
    /**
     * Has an event sent, once. Its workflow names what it tells, and writes no bodies. Before an escalation goes out, the gate
     * goes to the next person who fits.
     */
    async deliverWebhook(delivery: RunDelivery): Promise<void> {
      // Workers of 0.1.0 attempted it by tries of this activity, and counted there what had failed.
      const failures = Number(Context.current().info.heartbeatDetails ?? 0);
      const { run_id, waiting_tasks, escalates } = delivery;
      for (const task_id of escalates ? waiting_tasks : []) {
        if (await escalateGate(db, { run_id, task_id })) live.changed(run_id);
      }
      await insertRunDelivery(db, delivery, failures);
      courier.look();
    },
  };
}
