import { condition, defineSignal, proxyActivities, setHandler } from '@temporalio/workflow';
import type { createActivities } from './activities.ts';

const { ask } = proxyActivities<ReturnType<typeof createActivities>>({
  startToCloseTimeout: '30 minutes',
  heartbeatTimeout: '6s',
});

export const answerSignal = defineSignal<[string]>('answer');

/** The yardstick: the model calls of a run, and its gate, with nothing around them. */
export async function bareRun(input: { goal: string; gate: boolean }): Promise<string> {
  let answer: string | undefined;
  setHandler(answerSignal, (text) => {
    answer = text;
  });
  await ask('split', input.goal);
  await ask('infer', input.goal);
  const first = await doTask('T1', '');
  const middle = await Promise.all([doTask('T2', first), doTask('T3', first)]);
  const last = await doTask('T4', middle.join('\n'));
  if (input.gate) await condition(() => answer !== undefined);
  return ask('finalize', [last, answer].join('\n'));
}

/** The yardstick of the run of one agent. */
export function bareCall(input: string): Promise<string> {
  return ask('execute', input);
}

async function doTask(id: string, context: string): Promise<string> {
  const output = await ask('execute', context, id);
  await ask('evaluate', output, id);
  return output;
}
