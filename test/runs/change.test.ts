import { expect, test } from 'vitest';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { until } from '../harness/orchflow.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';

/** What is changed of a run after it was started. */

const story = useStory();
const change = (run_id: string, body: object) => story.user.patch(`/runs/${run_id}`, body);

test('labels are replaced, also of a run that has ended, and it is found by the new ones', async () => {
  const run = await story.start({}, { tags: ['draft'], metadata: { customer: 'c_1' } });
  await run.until('completed');
  const labels = { tags: ['final'], metadata: { customer: 'c_2' } };
  expect((await change(run.run_id, { ...labels, note: 'It is sold.' })).status).toBe(200);
  expect(await run.get()).toMatchObject(labels);
  const found = async (query: string) => (await story.user.get(`/runs?${query}`)).body.runs.length;
  expect(await found('tag=final&metadata=customer:c_2')).toBe(1);
  expect(await found('tag=draft')).toBe(0);
  const { events } = (await story.user.get(`/runs/${run.run_id}/audit`)).body;
  expect(events.at(-1)).toMatchObject({
    type: 'run.changed',
    data: { changed: ['tags', 'metadata'], note: 'It is sold.', by: { kind: 'key' } },
  });
  expect(Object.keys(events.at(-1).data).toSorted()).toEqual(['by', 'changed', 'note']);
  const finished = { status: 409, code: 'RUN_FINISHED', run_status: 'completed' };
  expectProblem(await change(run.run_id, { tags: ['x'], max_tokens: 5 }), finished);
  expect((await run.get()).tags).toEqual(['final']);
});

test('a limit holds from the next call on, and a webhook from the next event on', async () => {
  const [before, after] = [await startFakeWebhook(), await startFakeWebhook()];
  const run = await story.start({}, { ask_me_about: ['the budget'], webhook_url: before.url });
  await run.untilWaiting('T1');
  await until(() => before.requests.length === 1, 'the first webhook is told');
  expect((await change(run.run_id, { max_tokens: 1, webhook_url: after.url })).status).toBe(200);
  await run.complete('T1', { output: 'Ten euros.' });
  await run.untilWaiting('_budget_1');
  await until(() => after.requests.length === 1, 'the other webhook is told');
  expect(before.requests).toHaveLength(1);
  expect((await run.get()).max_tokens).toBe(1);
  const { events } = (await story.user.get(`/runs/${run.run_id}/audit`)).body;
  const changed = events.find(({ type }: any) => type === 'run.changed');
  expect(changed.data).toMatchObject({
    changed: ['webhook_url', 'max_tokens'],
    from: { max_tokens: null },
    to: { max_tokens: 1 },
  });
  expect(JSON.stringify(changed)).not.toContain(after.url);
  await run.cancel();
  await Promise.all([before.close(), after.close()]);
});

test('what cannot be is refused, and nothing is changed', async () => {
  const run = await story.start({}, { ask_me_about: ['the budget'], tags: ['a'] });
  await run.untilWaiting('T1');
  const tags = ['b'];
  expectFault(await change(run.run_id, { tags, webhook_url: 'https://example.com/x' }), '/webhook_url');
  expectFault(await change(run.run_id, { tags, webhook_url: 'http://10.0.0.1/x' }), '/webhook_url');
  expectFault(await change(run.run_id, { tags: ['b', 'b'] }), '/tags');
  expectFault(await change(run.run_id, { tags, max_tokens: 0 }), '/max_tokens');
  expectFault(await change(run.run_id, { tags, task: 'Another goal' }), '/task');
  const other = await story.orchflow.register();
  expectProblem(await other.patch(`/runs/${run.run_id}`, { tags }), { status: 404, code: 'NOT_FOUND' });
  expect((await run.get()).tags).toEqual(['a']);
  expect((await change(run.run_id, {})).status).toBe(200);
  await run.cancel();
});
