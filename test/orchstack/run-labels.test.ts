import { beforeEach, expect, test } from 'vitest';
import { createStack, type Stack } from '../harness/orchstack.ts';
import { expectProblem } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';

/** Runs of OrchStack's agents that others change, or purge, meanwhile. */

const story = useStory();
let stack: Stack;

beforeEach(() => {
  stack = createStack(story.orchflow.url, story.user);
});

/** An agent that asks the story's model. */
const create = () => stack.createAgent({ provider_id: story.provider_id });
const run = (agent_id: string, request: object = {}) =>
  stack.post(`/agents/${agent_id}/run`, { input: 'Go.', ...request });

test('a run that is purged while somebody waits for it is not found', async () => {
  story.model.on(() => new Promise<string>(() => {}));
  const waiting = run(await create(), { wait: 2 });
  await story.model.until(() => story.model.calls.length === 1);
  const [{ run_id }] = (await stack.get('/runs?status=running')).body.runs;
  const { db } = story.orchflow;
  const { account_id } = await db
    .selectFrom('runs')
    .select('account_id')
    .where('run_id', '=', run_id)
    .executeTakeFirstOrThrow();
  const give = (to: string | null) =>
    db.updateTable('runs').set({ account_id: to! }).where('run_id', '=', run_id).execute();
  await give(null);
  expectProblem(await waiting, { status: 404, code: 'NOT_FOUND', detail: 'Run not found.' });
  await give(account_id);
  await stack.delete(`/runs/${run_id}`);
});

test('the labels of a run are changed by who has seen them as they are', async () => {
  story.model.on(() => 'Done.');
  const { run_id } = (await run(await create(), { tags: ['a'] })).body;
  const path = `/runs/${run_id}`;
  const etag = (await stack.get(path)).headers.get('etag')!;
  expect(etag).toMatch(/^"[0-9a-f]{64}"$/);
  const changed = await stack.patch(path, { tags: ['b'] }, { 'if-match': etag });
  expect(changed).toMatchObject({ status: 200, body: { tags: ['b'] } });
  const lost = await stack.patch(path, { metadata: { a: 'b' } }, { 'if-match': etag });
  expectProblem(lost, { status: 412, code: 'PRECONDITION_FAILED' });
  const now = (await stack.get(path)).headers.get('etag')!;
  expect(changed.headers.get('etag')).toBe(now);
  // Of two at the same moment one has seen them as they are.
  const both = ['c', 'd'].map((tag) => stack.patch(path, { tags: [tag] }, { 'if-match': now }));
  const statuses = (await Promise.all(both)).map(({ status }) => status);
  expect(new Set(statuses)).toEqual(new Set([200, 412]));
  expect((await stack.patch(path, { tags: [] }, { 'if-match': '*' })).status).toBe(200);
});
