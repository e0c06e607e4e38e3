export { agentRun } from './agent-run.ts';
export { indexDocument } from './index-document.ts';
export { orchestrationRun } from './orchestration.ts';
export { orchflowRun } from './run.ts';
export { webhookDelivery } from './webhook.ts';
