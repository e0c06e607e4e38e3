import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowNotFoundError } from '@temporalio/client';
import { bareCall, bareRun } from './bare/workflows.ts';
import type { Servers } from './servers.ts';

/** split, infer, three times execute and evaluate, finalize: one after another. */
export const criticalCalls = 9;
export const agents = [{ name: 'research' }, { name: 'analyst' }, { name: 'writer' }];
export const goal = 'Compare the market and write a report.';
/** Each of its model calls takes three seconds. */
export const slowGoal = 'Compare the market slowly and write a report.';

let bareCount = 0;

export function startRun({ user }: Servers, more: object = {}) {
  return user.startRun({ task: goal, agents, ...more });
}

export async function startBare({ client, bareQueue }: Servers, gate = false) {
  bareCount += 1;
  return client.workflow.start(bareRun, {
    workflowId: `bare_${bareCount}`,
    taskQueue: await bareQueue(),
    args: [{ goal, gate }],
  });
}

/** One model call alone. */
export async function startBareCall({ client, bareQueue }: Servers) {
  bareCount += 1;
  return client.workflow.start(bareCall, {
    workflowId: `bare_${bareCount}`,
    taskQueue: await bareQueue(),
    args: [goal],
  });
}

/**
 * Resolves when the workflow has ended. The API starts it after its answer, so it may not be there yet: it is asked for again
 * after `again_ms`, which must be long before its end, and costs Temporal little where it is long.
 */
export async function ended({ client }: Servers, run_id: string, again_ms = 50): Promise<void> {
  for (;;) {
    try {
      return void (await client.workflow.getHandle(run_id).result());
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      await sleep(again_ms);
    }
  }
}

/** In milliseconds. */
export async function time(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** A whole run; resolves with its id. */
export async function run(servers: Servers): Promise<string> {
  const { run_id } = await startRun(servers);
  await ended(servers, run_id);
  return run_id;
}

export const bare = async (servers: Servers) => (await startBare(servers)).result();

/** Does it so many times, so many at once. Resolves with what each gave. */
export async function inLanes<T>(times: number, at_once: number, work: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const lane = async () => {
    while (next < times) results.push(await work(next++));
  };
  await Promise.all(Array.from({ length: at_once }, lane));
  return results;
}

/** The samples of so many rounds one after another. */
export async function repeat(times: number, work: () => Promise<number>): Promise<number[]> {
  return inLanes(times, 1, work);
}
