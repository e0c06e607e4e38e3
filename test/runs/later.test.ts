import { WorkflowNotFoundError } from '@temporalio/client';
import { expect, test } from 'vitest';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { define } from '../harness/orchestration.ts';
import { send } from '../harness/raw.ts';
import { until, type TestRun } from '../harness/orchflow.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { scriptRun } from '../harness/script.ts';
import { goal, useStory } from '../harness/story.ts';

/** Runs that begin later. */

const story = useStory();
const day = 24 * 3_600_000;
const change = ({ run_id }: Pick<TestRun, 'run_id'>, body: object) => story.user.patch(`/runs/${run_id}`, body);
const isKnownInTemporal = ({ run_id }: Pick<TestRun, 'run_id'>) =>
  story.orchflow.client.workflow
    .getHandle(run_id)
    .describe()
    .then(
      () => true,
      (error: unknown) => {
        if (error instanceof WorkflowNotFoundError) return false;
        throw error;
      },
    );
const eventsOf = async ({ run_id }: Pick<TestRun, 'run_id'>): Promise<any[]> =>
  (await story.user.get(`/runs/${run_id}/audit`)).body.events;

test('a run begins when its time has come, and is told when that is', async () => {
  const run = await story.start({}, { start_in: '1s' });
  const waiting = await run.get();
  expect(Date.parse(waiting.start_at!) - Date.parse(waiting.created_at)).toBe(1_000);
  const done = await run.until('completed');
  expect(done).toMatchObject({ pending_for: null, queue_position: null, start_at: waiting.start_at });
  expect(Date.parse(done.started_at!)).toBeGreaterThanOrEqual(Date.parse(done.start_at!));
  expect((await eventsOf(run))[0]).toMatchObject({ type: 'run.created', data: { start_at: waiting.start_at } });
});

test('until then it costs nothing and Temporal knows nothing of it; it is found, changed, brought forward', async () => {
  const start_at = new Date(Date.now() + 30 * day);
  const local = start_at.toISOString().replace('Z', '+00:00');
  const created = await story.user.post('/runs', { task: goal, provider_id: story.provider_id, start_at: local });
  const { run_id } = created.body;
  expect(created.body).toEqual({
    run_id,
    status: 'pending',
    message: `Run accepted. It begins at ${start_at.toISOString()}. Poll GET /runs/${run_id} for status.`,
    pending_for: 'start_at',
    start_at: start_at.toISOString(),
  });
  const run = await story.start({}, { start_in: '2d' });
  expect(await run.get()).toMatchObject({
    status: 'pending',
    phase: 'queued',
    pending_for: 'start_at',
    queue_position: null,
    started_at: null,
  });
  const waiting = (await story.user.get('/runs?pending_for=start_at&sort=created_at')).body.runs;
  expect(waiting.map((one: any) => [one.run_id, one.pending_for])).toEqual([
    [run_id, 'start_at'],
    [run.run_id, 'start_at'],
  ]);
  expect((await story.user.get('/runs/counts?pending_for=start_at')).body).toMatchObject({
    total: 2,
    by_status: { pending: 2 },
  });
  expect((await story.user.get('/runs?pending_for=place')).body.runs).toEqual([]);
  expect(await isKnownInTemporal(run)).toBe(false);

  const put = await change(run, { tags: ['soon'], start_in: '3d' });
  const later = await run.get();
  expect(put.body).toEqual({ run_id: run.run_id, start_at: later.start_at, warnings: [], message: 'Run changed.' });
  expect(later).toMatchObject({ tags: ['soon'], pending_for: 'start_at' });
  expect(Date.parse(later.start_at!)).toBeGreaterThan(Date.parse(later.created_at) + 3 * day - 1);
  expect(story.model.calls).toHaveLength(0);
  expect((await change(run, { start_at: '2020-01-01T00:00:00Z' })).status).toBe(200);
  await run.until('completed');
  const changed = (await eventsOf(run)).filter(({ type }) => type === 'run.changed');
  expect(changed.map(({ data }) => data.changed)).toEqual([['tags', 'start_at'], ['start_at']]);
  expect(changed.map(({ data }) => [data.from, data.to])).toEqual([
    [{ start_at: waiting.find((one: any) => one.run_id === run.run_id).start_at }, { start_at: later.start_at }],
    [{ start_at: later.start_at }, { start_at: '2020-01-01T00:00:00.000Z' }],
  ]);
  expectFault(
    await change({ run_id: (await story.start({}, { ask_me_about: ['x'] })).run_id }, { start_in: '1d' }),
    '/start_in',
  );
  expectProblem(await change(run, { start_in: '1d' }), { status: 409, code: 'RUN_FINISHED', run_status: 'completed' });
  const other = await story.orchflow.register();
  expectProblem(await other.patch(`/runs/${run_id}`, { start_in: '1d' }), { status: 404, code: 'NOT_FOUND' });
});

test('one that is cancelled before its time never begins, its webhook hears of it once, and it can be purged', async () => {
  const endpoint = await startFakeWebhook();
  const run = await story.start({}, { start_in: '1d', webhook_url: endpoint.url });
  expectProblem(await story.user.delete(`/runs/${run.run_id}?purge=true`), {
    status: 409,
    code: 'RUN_NOT_FINISHED',
    run_status: 'pending',
  });
  expect((await run.cancel()).status).toBe(200);
  expect((await run.cancel()).status).toBe(200);
  expect(await run.get()).toMatchObject({ status: 'cancelled', pending_for: null, started_at: null });
  await until(() => endpoint.requests.length === 1, 'the webhook is told');
  expect(endpoint.requests[0]!.payload).toEqual({ run_id: run.run_id, event: 'cancelled', waiting_tasks: [] });
  expectProblem(await change(run, { start_in: '2d' }), { status: 409, code: 'RUN_FINISHED', run_status: 'cancelled' });
  expect(await isKnownInTemporal(run)).toBe(false);
  expect((await story.user.delete(`/runs/${run.run_id}?purge=true`)).status).toBe(200);
  const rows = story.orchflow.db.selectFrom('runs').select('run_id').where('run_id', '=', run.run_id);
  await until(async () => (await rows.execute()).length === 0, 'its row is gone');
  expect(endpoint.requests).toHaveLength(1);
  await endpoint.close();
});

test('one that is held before its time waits for its release when it has come', async () => {
  const run = await story.start({}, { start_in: '1d' });
  await story.user.post(`/runs/${run.run_id}/hold`, {});
  await change(run, { start_at: '2020-01-01T00:00:00Z' });
  expect(await run.get()).toMatchObject({ status: 'pending', pending_for: 'release', queue_position: null });
  expect((await story.user.get('/runs?pending_for=release')).body.runs).toHaveLength(1);
  const early = await story.start({}, { start_in: '1d' });
  await story.user.post(`/runs/${early.run_id}/hold`, {});
  await story.user.post(`/runs/${early.run_id}/release`, {});
  expect(await early.get()).toMatchObject({ held_at: null, pending_for: 'start_at' });
  expect(await isKnownInTemporal(run)).toBe(false);
  await story.user.post(`/runs/${run.run_id}/release`, {});
  await run.until('completed');
  expect(await isKnownInTemporal(early)).toBe(false);
});

test('a time that is over is now; both, one too far away, or one without an offset are refused', async () => {
  scriptRun(story.model);
  const over = { task: goal, provider_id: story.provider_id, start_at: '2020-02-01T08:00:00+02:00' };
  const { body } = await story.user.post('/runs', over);
  const past = story.user.openRun(body.run_id);
  expect(body).toMatchObject({
    message: `Run started: its \`start_at\` is over. Poll GET /runs/${past.run_id} for status.`,
    start_at: '2020-02-01T06:00:00.000Z',
  });
  expect((await past.until('completed')).start_at).toBe('2020-02-01T06:00:00.000Z');
  const refused = async (body: object) => story.user.post('/runs', { task: goal, ...body });
  const start_at = new Date(Date.now() + day).toISOString();
  expectFault(await refused({ start_at, start_in: '1d' }), '/start_in');
  expectFault(await refused({ start_at: new Date(Date.now() + 366 * day).toISOString() }), '/start_at');
  expectFault(await refused({ start_at: '2026-11-23T06:00:00' }), '/start_at');
  expectFault(await refused({ start_at: 'tomorrow' }), '/start_at');
  expectFault(await refused({ start_in: '366d' }), '/start_in');
  expectFault(await refused({ start_in: '0s' }), '/start_in');
  expectFault(await change(past, { start_at, start_in: '1d' }), '/start_in');
  const id = await define(story.user, [{ id: 'print', type: 'print', print_content: 'Hello' }]);
  const orchestrated = { message: 'Go.', start_at, start_in: '1d' };
  expectFault(await story.user.post(`/orchestrations/${id}/run`, orchestrated), '/start_in');
  expectFault(
    await story.user.post(`/runs/${past.run_id}/rerun`, { from_task: 'T1', start_at, start_in: '1d' }),
    '/start_in',
  );
});

test('a rerun begins later too, and cannot be steered before it has begun', async () => {
  const run = await story.start({ dependencies: { T2: ['T1'] } });
  await run.until('completed');
  const rerun = await story.user.post(`/runs/${run.run_id}/rerun`, { from_task: 'T3', start_in: '1d' });
  const again = story.user.openRun(rerun.body.run_id);
  expect(rerun.body.start_at).toBe((await again.get()).start_at);
  const skipped = await story.user.post(`/runs/${again.run_id}/tasks/T3/skip`, {});
  expectProblem(skipped, { status: 409, code: 'RUN_NOT_READY', run_status: 'pending' });
  expect(skipped.body.detail).toBe('The run has not begun.');
  await change(again, { start_at: '2020-01-01T00:00:00Z' });
  await again.until('completed');
  // It was asked to begin at once.
  const second = await story.user.post(`/runs/${again.run_id}/rerun`, { from_task: 'T3' });
  expect(second.body).not.toHaveProperty('start_at');
  expect(await story.user.openRun(second.body.run_id).until('completed')).toMatchObject({ start_at: null });
});

test('an orchestration begins later too: whoever waits is answered at once when it begins only after that', async () => {
  const id = await define(story.user, [{ id: 'print', type: 'print', print_content: 'Hello' }]);
  const later = await story.user.post(`/orchestrations/${id}/run?wait=600`, { message: 'Go.', start_in: '1d' });
  expect(later.status).toBe(202);
  const { run_id } = later.body;
  const run = (await story.user.get(`/orchestrations/runs/${run_id}`)).body;
  const resumed = await story.user.post(`/orchestrations/runs/${run_id}/resume`, { response: 'Yes.' });
  expectProblem(resumed, { status: 409, code: 'RUN_NOT_PAUSED', run_status: 'running' });
  expect(resumed.body.detail).toBe(`The run is accepted, and begins at ${run.start_at}.`);
  expect(later.body).toMatchObject({
    status: 'running',
    pending_for: 'start_at',
    start_at: run.start_at,
    message: expect.stringContaining(`begins at ${run.start_at}.`),
  });
  expect(run).toMatchObject({ status: 'running', pending_for: 'start_at', queue_position: null, started_at: null });
  expect(Date.parse(run.start_at) - Date.parse(run.created_at)).toBe(day);
  const soon = await story.user.post(`/orchestrations/${id}/run?wait=600`, { message: 'Go.', start_in: '1s' });
  expect(soon).toMatchObject({ status: 200, body: { status: 'completed' } });
  await story.user.post(`/orchestrations/runs/${run_id}/cancel`, {});
  expect((await story.user.get(`/orchestrations/runs/${run_id}`)).body).toMatchObject({
    status: 'cancelled',
    pending_for: null,
  });
});

test('the stream of an orchestration says at once of which run it is, also of one that begins later', async () => {
  const id = await define(story.user, [{ id: 'print', type: 'print', print_content: 'Hello' }]);
  const stream = (body: object, signal?: AbortSignal) =>
    fetch(`${story.orchflow.url}/api/v1/orchestrations/${id}/run/stream`, {
      method: 'POST',
      headers: { 'x-api-key': story.user.api_key, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      ...(signal && { signal }),
    });
  const leave = new AbortController();
  const later = await stream({ message: 'Go.', start_in: '1d' }, leave.signal);
  const run_id = later.headers.get('run-id')!;
  expect((await story.user.get(`/runs/${run_id}`)).body).toMatchObject({ pending_for: 'start_at' });
  leave.abort();
  await story.user.delete(`/runs/${run_id}`);
  const now = await stream({ message: 'Go.' });
  expect(await now.text()).toContain(`{"type":"orchestration_start","run_id":"${now.headers.get('run-id')}"`);
});

test('the same request with the same key is the same run, with the same time', async () => {
  const start = () =>
    send(
      story.orchflow.url,
      'POST',
      '/api/v1/runs',
      { 'x-api-key': story.user.api_key, 'content-type': 'application/json', 'idempotency-key': 'later' },
      JSON.stringify({ task: goal, start_in: '1d' }),
    );
  const [first, second] = [await start(), await start()];
  expect(second.body).toEqual(first.body);
  expect((await story.user.get('/runs')).body.runs).toHaveLength(1);
});
