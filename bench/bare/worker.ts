import path from 'node:path';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { createGuardedFetch } from '../../src/fetch/index.ts';
import { workerOptions } from '../../src/temporal/worker-options.ts';
import { createActivities } from './activities.ts';

/** The worker of the bare workflow. Arguments: Temporal's address, the task queue, the fake model's URL. */
const [address, taskQueue, modelUrl] = process.argv.slice(2) as [string, string, string];
Runtime.install({ logger: new DefaultLogger('ERROR') });
const { fetch } = createGuardedFetch({
  allowedPrivateCidrs: ['127.0.0.0/8'],
  headers_timeout_ms: 60_000,
  idle_timeout_ms: 60_000,
  max_body_bytes: 4 * 1024 * 1024,
});
const target = {
  vendor: 'openai' as const,
  model: 'gpt-4o-mini',
  api_key: 'sk-bench',
  base_url: `${modelUrl}/openai/v1`,
};
const worker = await Worker.create({
  ...workerOptions(200),
  workflowsPath: path.join(import.meta.dirname, 'workflows.ts'),
  connection: await NativeConnection.connect({ address }),
  taskQueue,
  activities: createActivities({ target, fetch }),
});
console.log('ready');
await worker.run();
