import { afterEach, expect, test } from 'vitest';
import type { TestRun } from '../harness/client.ts';
import { until } from '../harness/orchflow.ts';
import { runSteps } from '../harness/orchestration.ts';
import { useStory } from '../harness/story.ts';

/** What readers are told of calls that are tried again, while no workflow is at work. */

const story = useStory();
const held: { run_id: string }[] = [];
afterEach(() => Promise.all(held.splice(0).map(({ run_id }) => story.user.delete(`/runs/${run_id}`))));

const busy = {
  status: 503,
  headers: { 'retry-after': '120' },
  body: { error: { message: 'model needs more memory' } },
};

const retriesOf = async ({ run_id }: TestRun) => {
  const events = await story.orchflow.db
    .selectFrom('run_events')
    .select(['data', 'seq'])
    .where('run_id', '=', run_id)
    .where('type', '=', 'call.retrying')
    .orderBy('seq')
    .execute();
  return events.map(({ data }) => data);
};

/** Lets the providers be asked again, and has the activities that wait make their next try now. */
async function wake(run: TestRun) {
  const { client, db } = story.orchflow;
  await db.deleteFrom('model_cooldowns').execute();
  const { raw } = await client.workflow.getHandle(run.run_id).describe();
  const { namespace } = client.options;
  for (const { activityId } of raw.pendingActivities ?? []) {
    await client.workflowService.resetActivity({ namespace, execution: { workflowId: run.run_id }, id: activityId });
  }
}

test('a call that waits long is told with reason and next try, once, and taken back when it is made', async () => {
  let isBusy = true;
  const run = await story.start({
    dependencies: { T2: ['T1'], T3: ['T1'] },
    execute: ({ task_id }) => (task_id === 'T1' && isBusy ? busy : undefined),
  });
  held.push(run);
  const view = await run.until(({ warnings }) => warnings.length > 0);
  expect(view).toMatchObject({ status: 'running', error: null, waiting_tasks: [] });
  expect(view.warnings).toEqual([
    expect.stringMatching(/^T1 waits: .*\(1 try since \S+Z, the next at \S+Z\)\. .*model needs more memory/),
  ]);
  const [told, ...more] = await retriesOf(run);
  expect(more).toEqual([]);
  expect(told).toEqual({
    task_id: 'T1',
    reason: expect.stringContaining('HTTP 503'),
    tries: 1,
    since: expect.any(String),
    next_try_at: expect.any(String),
  });
  const wait = Date.parse(told!.next_try_at as string) - Date.now();
  expect(wait).toBeGreaterThan(60_000);
  expect(wait).toBeLessThan(140_000);

  isBusy = false;
  await wake(run);
  expect((await run.until('completed')).warnings).toEqual([]);
  expect(await retriesOf(run)).toHaveLength(1);
});

test.each(['split', 'infer', 'finalize'] as const)('the same while nothing is done but %s', async (step) => {
  const run = await story.start({ [step]: () => busy });
  held.push(run);
  const { warnings } = await run.until((view) => view.warnings.length > 0);
  expect(warnings).toEqual([
    expect.stringMatching(step === 'finalize' ? /^The final output waits: / : /^The plan waits: /),
  ]);
  expect(await retriesOf(run)).toMatchObject([{ task_id: null }]);
});

test('a failure that is soon tried again is told to nobody', async () => {
  let tries = 0;
  const run = await story.start({ split: () => ((tries += 1) === 1 ? { status: 500 } : undefined) });
  expect((await run.until('completed')).warnings).toEqual([]);
  expect(await retriesOf(run)).toEqual([]);
});

test('another failure is told again, and what it says is no key and no address of ours', async () => {
  const replies = [busy, { ...busy, status: 429, body: { error: { message: 'slow down, sk-canary' } } }];
  const run = await story.start({ split: () => replies[0] });
  held.push(run);
  await run.until((view) => view.warnings.length > 0);
  replies.shift();
  await wake(run);
  const { warnings } = await run.until((view) => view.warnings.some((text) => text.includes('slow down')));
  expect(warnings).toHaveLength(1);
  expect(JSON.stringify(await retriesOf(run))).not.toContain('sk-canary');
  expect((await retriesOf(run)).map(({ reason }) => String(reason).includes('429'))).toEqual([false, true]);
});

test('a run that is cancelled while a call waits is not told to go on', async () => {
  const run = await story.start({ split: () => busy });
  await run.until((view) => view.warnings.length > 0);
  await run.cancel();
  expect((await run.until('cancelled')).warnings).toEqual([]);
});

test('the steps of an orchestration, on its page', async () => {
  story.model.on(() => busy);
  const answering = runSteps(story.user, [{ id: 'a', type: 'llm', timeout_seconds: 600 }]);
  const { db } = story.orchflow;
  const find = () => db.selectFrom('runs').select('run_id').where('kind', '=', 'orchestration').executeTakeFirst();
  await until(async () => (await find()) !== undefined, 'the run');
  const { run_id } = (await find())!;
  const page = async () => (await story.user.get(`/orchestrations/runs/${run_id}`)).body;
  await until(async () => (await page()).warnings.length > 0, 'the warning');
  expect((await page()).warnings[0]).toContain('model needs more memory');
  await story.user.post(`/orchestrations/runs/${run_id}/cancel`, {});
  await answering;
});
