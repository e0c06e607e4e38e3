import { expect, test } from 'vitest';
import { setSuspended } from '../../db/accounts.ts';
import { until, type TestRun } from '../harness/orchflow.ts';
import { define } from '../harness/orchestration.ts';
import { goal, useStory } from '../harness/story.ts';

/** An account has so many active runs at once. More wait, and begin in their order. */

const most = 2;
const story = useStory({ MAX_ACTIVE_RUNS_PER_ACCOUNT: String(most) });

/** Each waits for a person when it has begun. */
const asking = (more: object = {}) => story.start({}, { ask_me_about: ['the budget'], ...more });
const positions = (runs: TestRun[]) => Promise.all(runs.map(async (run) => (await run.get()).queue_position));
const counts = async (query: string) => (await story.user.get(`/runs/counts?${query}`)).body.total;

async function fill(): Promise<TestRun[]> {
  const runs = [await asking(), await asking()];
  for (const run of runs) await run.untilWaiting('T1');
  return runs;
}

test('more than may be active wait, and one that ends, in whichever way, lets the next begin', async () => {
  const [first, second] = (await fill()) as [TestRun, TestRun];
  const waiting = [await asking(), await asking(), await asking()] as const;
  const [third, fourth, fifth] = waiting;
  expect(await positions([...waiting])).toEqual([1, 2, 3]);
  expect(await third.get()).toMatchObject({
    status: 'pending',
    pending_for: 'place',
    started_at: null,
    start_at: null,
  });
  expect(await counts('pending_for=place')).toBe(3);
  expect(await counts('status=waiting_human')).toBe(2);
  const listed = (await story.user.get('/runs?pending_for=place&sort=created_at')).body.runs;
  expect(listed.map((run: any) => run.run_id)).toEqual(waiting.map(({ run_id }) => run_id));

  // Of another account nothing waits for these.
  const other = await story.orchflow.register();
  const theirs = await other.startRun({
    task: goal,
    ask_me_about: ['x'],
    provider_id: await other.addProvider(story.model),
  });
  await theirs.untilWaiting('T1');

  await first.cancel();
  await third.untilWaiting('T1');
  expect(await positions([third, fourth, fifth])).toEqual([null, 1, 2]);
  await second.complete('T1', { output: 'Ten euros.' });
  await second.until('completed');
  await fourth.untilWaiting('T1');
  expect(await positions([fifth])).toEqual([1]);
  // What waits can be cancelled too; that gives no place away.
  await fifth.cancel();
  expect(await fifth.get()).toMatchObject({ status: 'cancelled', queue_position: null });
  expect(await counts('pending_for=place')).toBe(0);
});

test('who starts, reruns, releases or resumes a run is told that it waits for a place, and only then', async () => {
  const { user, provider_id } = story;
  const begins = 'It begins when the account has a place for it.';
  const post = () => user.post('/runs', { task: goal, provider_id, ask_me_about: ['the budget'] });
  const source = await story.start({});
  await source.until('completed');
  const started = [await post(), await post()];
  for (const { body } of started) expect(body.message).toMatch(/^Run started\. Poll/);
  for (const { body } of started) expect(body).not.toHaveProperty('pending_for');
  for (const { body } of started) await user.openRun(body.run_id).untilWaiting('T1');

  const { run_id, ...queued } = (await post()).body;
  const message = `Run accepted. ${begins} Poll GET /runs/${run_id} for status.`;
  expect(queued).toEqual({ status: 'pending', message, pending_for: 'place' });
  const rerun = await user.post(`/runs/${source.run_id}/rerun`, { from_task: 'T3', start_at: '2020-01-01T00:00:00Z' });
  expect(rerun.body).toMatchObject({ pending_for: 'place', start_at: '2020-01-01T00:00:00.000Z' });
  expect(rerun.body.message).toContain(begins);

  const id = await define(user, [{ id: 'ask', type: 'human' }]);
  const orchestration = await user.post(`/orchestrations/${id}/run?wait=0`, { message: 'Go.', provider_id });
  const path = `/orchestrations/runs/${orchestration.body.run_id}/resume`;
  expect(await user.post(path, { response: 'Yes.' })).toMatchObject({
    status: 409,
    body: {
      code: 'RUN_NOT_PAUSED',
      run_status: 'running',
      detail: 'The run is accepted, and begins when the account has a place for it.',
    },
  });

  await user.post(`/runs/${run_id}/hold`, {});
  const held = user.openRun(run_id);
  expect((await user.post(`/runs/${run_id}/release`, {})).body).toEqual({
    run_id,
    held_at: null,
    pending_for: 'place',
    message: 'The run is accepted, and begins when the account has a place for it.',
  });
  await user.post(`/runs/${run_id}/hold`, {});
  for (const { body } of [...started, rerun, orchestration]) await user.openRun(body.run_id).cancel();
  const freed = (await user.post(`/runs/${run_id}/release`, {})).body;
  expect(freed).toEqual({ run_id, held_at: null, message: 'The run goes on.' });
  await held.untilWaiting('T1');
});

test('a run that is held while it waits lets others by, and keeps its turn', async () => {
  const [first, second] = (await fill()) as [TestRun, TestRun];
  const [held, next, last] = [await asking(), await asking(), await asking()];
  await story.user.post(`/runs/${held.run_id}/hold`, {});
  expect(await positions([held, next, last])).toEqual([null, 1, 2]);
  expect((await held.get()).pending_for).toBe('release');
  await first.cancel();
  await next.untilWaiting('T1');
  await story.user.post(`/runs/${held.run_id}/release`, {});
  expect(await positions([held, last])).toEqual([1, 2]);
  await second.cancel();
  await held.untilWaiting('T1');
  expect(await positions([last])).toEqual([1]);
});

test('a run joins the queue at its time, and one that is put off loses its turn', async () => {
  const [first] = (await fill()) as [TestRun];
  const later = await asking({ start_in: '1s' });
  const [next, last] = [await asking(), await asking()];
  await until(async () => (await later.get()).pending_for === 'place', 'its time has come');
  expect(await positions([next, last, later])).toEqual([1, 2, 3]);
  await story.user.patch(`/runs/${next.run_id}`, { start_in: '1d' });
  expect(await positions([next, last, later])).toEqual([null, 1, 2]);
  await first.cancel();
  await last.untilWaiting('T1');
});

test('many that come at once begin by twos, and each once', async () => {
  story.model.on(() => 'Said.');
  const id = await define(story.user, [{ id: 'say', type: 'llm', prompt_template: 'Say it.', output_key: 'said' }]);
  const answers = await Promise.all(
    Array.from({ length: 12 }, () =>
      story.user.post(`/orchestrations/${id}/run?wait=0`, { message: 'Go.', provider_id: story.provider_id }),
    ),
  );
  const run_ids = answers.map(({ body }) => body.run_id as string);
  const runs = () =>
    story.orchflow.db.selectFrom('runs').selectAll().where('run_id', 'in', run_ids).orderBy('started_at').execute();
  await until(async () => {
    const active = (await runs()).filter((run) => run.queued_at === null && run.completed_at === null);
    expect(active.length).toBeLessThanOrEqual(most);
    return (await runs()).every(({ status }) => status === 'completed');
  }, 'all are completed');
  expect(story.model.calls).toHaveLength(12);
});

test.each([
  { path: '/orchestrations/runs/:id/retry?wait=0', code: 202, status: 'running' },
  { path: '/runs/:id/retry', code: 200, status: 'pending' },
])(
  'a failed run that is tried again joins the queue as well, and is told so: $path',
  async ({ path, code, status }) => {
    const id = await define(story.user, [{ id: 'say', type: 'llm', prompt_template: 'Say it.', output_key: 'said' }]);
    const request = { message: 'Go.', provider_id: story.provider_id, max_tokens: 1 };
    const { run_id } = (await story.user.post(`/orchestrations/${id}/run`, request)).body;
    const failed = story.user.openRun(run_id);
    await failed.until('failed');
    const [first] = (await fill()) as [TestRun];
    await story.user.patch(`/runs/${run_id}`, {});
    const retried = await story.user.post(path.replace(':id', run_id), {});
    expect(retried.status).toBe(code);
    expect(retried.body).toMatchObject({
      status,
      pending_for: 'place',
      message: expect.stringContaining('begins when the account has a place for it.'),
    });
    expect(retried.body).not.toHaveProperty('start_at');
    expect((await story.user.get(`/orchestrations/runs/${run_id}`)).body).toMatchObject({
      attempt: 2,
      status: 'running',
      pending_for: 'place',
      queue_position: 1,
    });
    await first.cancel();
    // It fails as before; only that it was begun again counts here.
    await failed.until('failed');
  },
);

test('the runs of a suspended account wait in its queue too', async () => {
  const [first] = (await fill()) as [TestRun];
  const next = await asking();
  const { db } = story.orchflow;
  const { account_id } = await db
    .selectFrom('runs')
    .select('account_id')
    .where('run_id', '=', next.run_id)
    .$narrowType<{ account_id: string }>()
    .executeTakeFirstOrThrow();
  await first.cancel();
  await next.untilWaiting('T1');
  const after = await asking();
  await setSuspended(db, account_id, true);
  await db.updateTable('runs').set({ status: 'cancelled' }).where('run_id', '=', next.run_id).execute();
  story.orchflow.outbox.begin(after.run_id);
  const queued = async () =>
    (await db.selectFrom('runs').select('queued_at').where('run_id', '=', after.run_id).executeTakeFirstOrThrow())
      .queued_at;
  expect(await queued()).not.toBeNull();
  await setSuspended(db, account_id, false);
  await until(async () => (await queued()) === null, 'it begins');
});
