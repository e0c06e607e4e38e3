import { once } from 'node:events';
import { connect } from 'node:net';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { uuidOf } from '../../src/ids.ts';
import { createCaller, publish } from '../harness/calls.ts';
import { until } from '../harness/orchflow.ts';
import { startApiProcess } from '../harness/processes.ts';
import { untilBlocked } from '../harness/rows.ts';
import { useStory } from '../harness/story.ts';

/** Clients ask again when an answer is slow, without a key: they get the answer of the run that they had begun. */

/** Who reads nothing of an answer is soon cut; who waits for one is not. */
const story = useStory({ HTTP_SEND_TIMEOUT_SECONDS: '1' });

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

/** Calls and hangs up, while the model has not answered. */
async function callAndLeave(path: string, body: object): Promise<void> {
  const { open } = createCaller(story.orchflow.url, story.user);
  const calls = story.model.calls.length;
  const hangUp = new AbortController();
  const left = open(path, body, { signal: hangUp.signal }).catch(() => 'hung up');
  await story.model.until(() => story.model.calls.length > calls);
  hangUp.abort();
  expect(await left).toBe('hung up');
  await untilNobodyListens();
}

test('who was not there when the run ended gets its answer when asking again, once, and of the version that was called', async () => {
  const { orchflow, user, model } = story;
  const { db } = orchflow;
  const agent_id = await publish(orchflow, user, 'slow-2', { name: 'slow' });
  const release = heldModel();
  const { post } = createCaller(orchflow.url, user);
  const path = '/slow-2/slow/latest/run';
  await callAndLeave(path, {});
  await user.insist('PATCH', `/agents/${agent_id}`, { description: 'Newer.' });
  // However long ago: it is at work.
  await sql`update agent_calls set created_at = now() - interval '1 day', left_at = now() - interval '1 day'`.execute(
    db,
  );
  const joined = post(path, {});
  await until(async () => {
    const { rows } = await sql`select from agent_calls where waiter is not null`.execute(db);
    return rows.length === 1;
  }, 'the call is waited for again');
  release();
  const { status, body } = await joined;
  expect([status, body.data, body.metadata.version]).toEqual([200, { result: 'Slow.' }, 'v1']);
  expect((await post(path, {})).body.metadata.version).toBe('v2');
  expect([model.calls.length, (await runsOf()).length]).toEqual([2, 2]);
});

test('that a client has hung up is known however late the database can be told', async () => {
  const { orchflow, user } = story;
  const { db } = orchflow;
  await publish(orchflow, user, 'slow-6', { name: 'slow' });
  const release = heldModel();
  await sql`
    create sequence refused;
    create function refuse() returns trigger language plpgsql as
      'begin perform nextval(''refused''); raise exception ''away''; end';
    create trigger refuse before update on agent_calls for each row execute function refuse()`.execute(db);
  const { open, post } = createCaller(orchflow.url, user);
  const path = '/slow-6/slow/v1/run';
  const hangUp = new AbortController();
  const left = open(path, {}, { signal: hangUp.signal }).catch(() => 'hung up');
  await story.model.until(() => story.model.calls.length === 1);
  hangUp.abort();
  expect(await left).toBe('hung up');
  await until(async () => {
    const { rows } = await sql<{ is_called: boolean }>`select is_called from refused`.execute(db);
    return rows[0]!.is_called;
  }, 'it was tried to be kept');
  await sql`drop trigger refuse on agent_calls`.execute(db);
  await untilNobodyListens();
  release();
  expect((await post(path, {})).body.data).toEqual({ result: 'Slow.' });
  expect(await runsOf()).toHaveLength(1);
});

test('an answer that nobody got is given to who asks for the very same, soon, and where there is one', async () => {
  const { orchflow, user, model } = story;
  const { db } = orchflow;
  await publish(orchflow, user, 'slow-5', { name: 'slow', provider_id: story.provider_id });
  const release = heldModel();
  const { post } = createCaller(orchflow.url, user);
  const path = '/slow-5/slow/v1/run';
  const body = { llm_credentials: { model: 'gpt-4o' } };
  await callAndLeave(path, body);
  release();
  const { run_id } = (await runsOf())[0]!;
  await user.openRun(run_id).until('completed');
  const other = await post(path, { llm_credentials: { model: 'gpt-4o-mini' } });
  expect([other.status, (await runsOf()).length]).toEqual([200, 2]);
  // Who bounds what it calls asks for something else.
  for (const [name, value] of [
    ['orchestration-mode', 'strict'],
    ['max-hops', '0'],
    ['downstream-remaining', '0'],
  ])
    expect((await post(path, body, { [`x-orchagent-${name}`]: value! })).headers.get('x-run-id')).not.toBe(
      uuidOf(run_id),
    );
  const runs = (await runsOf()).length;
  await sql`update agent_calls set left_at = now() - interval '16 minutes' where run_id = ${run_id}`.execute(db);
  await sql`update runs set completed_at = now() - interval '16 minutes' where run_id = ${run_id}`.execute(db);
  expect([(await post(path, body)).status, (await runsOf()).length]).toEqual([200, runs + 1]);

  // What has failed is tried again.
  const { promise: refused, resolve: refuse } = Promise.withResolvers<{ status: number }>();
  model.on(() => refused);
  await callAndLeave(path, {});
  refuse({ status: 401 });
  await user.openRun((await runsOf())[0]!.run_id).until('failed');
  model.on(() => 'Better.');
  expect((await post(path, {})).body.data).toEqual({ result: 'Better.' });
});

test('who waits is not cut for it; an answer that is not read, or a stream that has not begun, is left', async () => {
  const { orchflow, user, model } = story;
  const { db, url } = orchflow;
  const { hostname, port, host } = new URL(url);
  await publish(orchflow, user, 'slow-4', { name: 'slow', provider_id: story.provider_id });
  const release = heldModel();
  const { open, post } = createCaller(url, user);
  const path = '/slow-4/slow/v1/run';
  const waiting = post(path, { n: 1 });
  await model.until(() => model.calls.length === 1);
  // A connection on which nothing moves either.
  await once(connect(Number(port), hostname).resume(), 'close');
  release();
  expect((await waiting).body.data).toEqual({ result: 'Slow.' });

  const { promise: long, resolve: answer } = Promise.withResolvers<string>();
  model.on(() => long);
  await callAndLeave(path, {});
  answer('x'.repeat(200_000));
  const { run_id } = (await runsOf())[0]!;
  await user.openRun(run_id).until('completed');
  await sql`update texts set text = repeat(text, 70) where run_id = ${run_id} and length(text) = 200000`.execute(db);
  const unread = connect(Number(port), hostname);
  unread.write(
    `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nX-API-Key: ${user.api_key}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
  );
  await once(unread, 'readable');
  await untilNobodyListens();
  unread.destroy();
  expect((await post(path, {})).body.data.result).toHaveLength(14_000_000);
  expect((await runsOf()).length).toBe(2);

  const hangUp = new AbortController();
  let left: Promise<unknown> | undefined;
  model.on(() => 'Streamed.');
  await db.transaction().execute(async (trx) => {
    await sql`lock table agent_calls in share mode`.execute(trx);
    const stream = { headers: { accept: 'text/event-stream' }, signal: hangUp.signal };
    left = open(path, { n: 3 }, stream).catch(() => 'hung up');
    await untilBlocked(db, 'the call is about to begin');
    hangUp.abort();
    await left;
  });
  expect(await left).toBe('hung up');
  await until(async () => (await runsOf()).length === 3, 'the call has begun');
  await untilNobodyListens();
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
