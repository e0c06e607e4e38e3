import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Given, Report } from './thread.ts';

export type { Report as HostileReport } from './thread.ts';

/**
 * Lets a tenant in that means harm, and resolves when it has its account. It goes on until `leave`, which resolves with all
 * that it has done once it has cancelled what it had begun. A fault of its own ends the program.
 */
export async function letHostileIn(given: Given): Promise<{ leave: () => Promise<Report> }> {
  const thread = new Worker(new URL('./thread.ts', import.meta.url), { workerData: given });
  await once(thread, 'message');
  thread.on('error', (error) => {
    throw error;
  });
  return {
    async leave() {
      thread.postMessage('leave');
      const [report] = (await once(thread, 'message')) as [Report];
      return report;
    },
  };
}
