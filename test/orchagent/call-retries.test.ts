import { expect, test } from 'vitest';
import { createCaller, publish } from '../harness/calls.ts';
import { until } from '../harness/orchflow.ts';
import { startApiProcess } from '../harness/processes.ts';
import { useStory } from '../harness/story.ts';

/** Clients ask again when an answer is slow, without a key: they get the answer of the run that they had begun. */

const story = useStory();

const runsOf = async () => (await story.user.get('/runs')).body.runs as { run_id: string; status: string }[];

/** The model answers each call when it is let. */
function heldModel() {
  const { promise: let_, resolve: release } = Promise.withResolvers<void>();
  story.model.on(async () => {
    await let_;
    return 'Slow.';
  });
  return release;
}

async function untilNobodyListens(): Promise<void> {
  const { db } = story.orchflow;
  await until(async () => {
    const waiting = await db
      .selectFrom('agent_calls')
      .select('run_id')
      .where('listener', 'is not', null)
      .where('answered_at', 'is', null)
      .execute();
    return waiting.length === 0;
  }, 'the call is left');
}

test('who has hung up and asks again joins the run; who asks beside a living call does not', async () => {
  await publish(story.orchflow, story.user, 'slow-1', { name: 'slow' });
  const release = heldModel();
  const { open, post } = createCaller(story.orchflow.url, story.user);
  const path = '/slow-1/slow/v1/run';
  const hangUp = new AbortController();
  const left = open(path, { n: 1 }, { signal: hangUp.signal }).catch(() => 'hung up');
  await story.model.until(() => story.model.calls.length === 1);
  const beside = post(path, { n: 1 });
  await story.model.until(() => story.model.calls.length === 2);
  expect(await runsOf()).toHaveLength(2);
  hangUp.abort();
  expect(await left).toBe('hung up');
  await until(async () => {
    const { db } = story.orchflow;
    const rows = await db.selectFrom('agent_calls').select('listener').execute();
    return rows.filter(({ listener }) => listener === null).length === 1;
  }, 'one call is left');
  const other = post(path, { n: 2 });
  const again = post(path, { n: 1 });
  await story.model.until(() => story.model.calls.length === 3);
  release();
  const answers = await Promise.all([beside, again, other]);
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(new Set(answers.map(({ headers }) => headers.get('x-run-id'))).size).toBe(3);
  expect(await runsOf()).toHaveLength(3);
  expect((await post(path, { n: 1 })).status).toBe(200);
  expect(await runsOf()).toHaveLength(4);
});

test('who was not there when the run ended gets its answer when asking again, once', async () => {
  await publish(story.orchflow, story.user, 'slow-2', { name: 'slow' });
  const release = heldModel();
  const { open, post } = createCaller(story.orchflow.url, story.user);
  const path = '/slow-2/slow/v1/run';
  const hangUp = new AbortController();
  void open(path, {}, { signal: hangUp.signal }).catch(() => {});
  await story.model.until(() => story.model.calls.length === 1);
  hangUp.abort();
  await untilNobodyListens();
  release();
  const { run_id } = (await runsOf())[0]!;
  await story.user.openRun(run_id).until('completed');
  expect((await post(path, {})).body.data).toEqual({ result: 'Slow.' });
  expect(await runsOf()).toHaveLength(1);
});

test('an API that is killed while a client waits: the client asks another one, and there is one run', async () => {
  await publish(story.orchflow, story.user, 'slow-3', { name: 'slow' });
  const release = heldModel();
  const api = await startApiProcess(story.orchflow.env);
  const path = '/slow-3/slow/v1/run';
  const cut = createCaller(api.url, story.user)
    .open(path, {})
    .catch(() => 'cut');
  await story.model.until(() => story.model.calls.length === 1);
  const { post } = createCaller(story.orchflow.url, story.user);
  await api.kill();
  expect(await cut).toBe('cut');
  const again = post(path, {});
  await until(async () => {
    const rows = await story.orchflow.db.selectFrom('agent_calls').select('listener').execute();
    return rows.some(({ listener }) => listener === story.orchflow.runEvents.listener);
  }, 'the other API has taken the call over');
  release();
  expect((await again).body.data).toEqual({ result: 'Slow.' });
  expect(await runsOf()).toHaveLength(1);
  expect(story.model.calls).toHaveLength(1);
});
