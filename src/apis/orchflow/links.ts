import { links } from '../../http/openapi.ts';

/** Where an answer leads that names a run at this place of its body. */
export function runLinks(run_id = '/run_id') {
  return links({ run_id }, 'getRun', 'listTasks', 'followRun', 'cancelRun', 'rerun', 'listWebhookDeliveries');
}
