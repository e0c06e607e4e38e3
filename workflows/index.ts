export { orchflowRun } from './run.ts';
export { webhookDelivery } from './webhook.ts';
