import { sql } from 'kysely';
import { afterEach, describe, expect, test } from 'vitest';
import { readEvents, type Reader } from '../harness/event-stream.ts';
import { until, type TestRun, type User } from '../harness/orchflow.ts';
import { modes, useStory } from '../harness/story.ts';

/** A run as its readers follow it: by a stream of events, or by an answer that waits. */

const story = useStory();
const readers: Reader[] = [];
afterEach(() => readers.splice(0).forEach((reader) => reader.close()));

function follow(run: TestRun, query?: string): Reader {
  const reader = readEvents(story.user, story.orchflow.url, run.run_id, query);
  readers.push(reader);
  return reader;
}

function open(user: User, run_id: string, headers: Record<string, string> = {}, query = '') {
  return fetch(`${story.orchflow.url}/api/v1/runs/${run_id}/events${query}`, {
    headers: { 'x-api-key': user.api_key, ...headers },
  });
}

const long = 'A sentence — with 😀, "quotes" and a\nline break. '.repeat(400);

test('a reader sees the whole story of a run while it happens, over a gate, with the texts as they are written', async () => {
  const { promise: rest, resolve: writeOn } = Promise.withResolvers<string>();
  async function* pieces() {
    yield 'Half of it, ';
    yield await rest;
  }
  const { promise: seen, resolve: end } = Promise.withResolvers<string>();
  async function* finalPieces() {
    yield 'The final output';
    yield await seen;
  }
  const script = {
    execute: ({ task_id }: { task_id?: string }) =>
      task_id === 'T2' ? { say: pieces() } : task_id === 'T3' ? long : undefined,
    finalize: () => ({ say: finalPieces() }),
    dependencies: { T3: ['T2'] },
  };
  const run = await story.start(script, { ask_me_about: ['budget'] });
  const reader = follow(run);
  await reader.until(() => reader.told().includes('gate.opened T1'));
  await run.complete('T1', { output: 'Ten.' });
  await reader.until(() => reader.streamed('T2') === 'Half of it, ');
  expect((await run.task('T2')).status).toBe('running');
  writeOn('and the rest.');
  // A text's last bits and the news of its end may pass each other: what was heard by then is waited for.
  await reader.until(() => reader.streamed(null) === 'The final output');
  end('.');
  await reader.untilDone();

  expect(reader.done).toEqual({ type: 'done', run_id: run.run_id, status: 'completed' });
  expect(reader.seqs()).toEqual(reader.events.map((_, index) => index + 1));
  expect(reader.told()[0]).toBe('run.created');
  expect(reader.told().at(-1)).toBe('run.completed');
  expect(reader.streamed('T2')).toBe('Half of it, and the rest.');
  expect(reader.streamed('T3')).toBe(long);
  expect(reader.streamed(null)).toMatch(/^The final output\.?$/);
  expect((await run.get()).final_output).toBe('The final output.');
  const stored = await story.orchflow.db
    .selectFrom('run_events')
    .select(['seq', 'type', 'data', 'created_at'])
    .where('run_id', '=', run.run_id)
    .orderBy('seq')
    .execute();
  const { run_id } = run;
  expect(reader.events).toEqual(stored.map(({ data, ...event }) => ({ ...(data as object), ...event, run_id })));
});

test('a reader resumes after what it has, by Last-Event-ID or ?after=, and one that has all is told to stop', async () => {
  const run = await story.start({});
  await run.until('completed');
  const whole = follow(run);
  await whole.untilDone();
  const last = whole.events.length;

  const resumed = follow(run, '?after=3');
  await resumed.untilDone();
  expect(resumed.seqs()).toEqual(whole.seqs().slice(3));
  const { user } = story;
  const text = await (await open(user, run.run_id, { 'last-event-id': String(last - 1) }, '?after=3')).text();
  expect(text.match(/^id: .*$/gm)).toEqual([`id: ${last}`, `id: ${last}-done`]);
  expect(await (await open(user, run.run_id, {}, `?after=${last + 7}`)).text()).toMatch(/event: done/);

  // The stream ended, so both sources come back by themselves: with the id of `done`.
  expect(whole.lastEventId).toBe(`${last}-done`);
  await whole.until(() => whole.source.readyState === whole.source.CLOSED);
  expect(whole.statuses).toEqual([200, 204]);
  expect(whole.events).toHaveLength(last);
});

test('what NOTIFY loses is found: the one connection that listens is cut, again and again', async () => {
  const run = await story.start({}, { ask_me_about: ['budget'], require_approval: true });
  const reader = follow(run);
  for (const task_id of ['T1', 'T2', 'T3', 'T4']) {
    await run.untilWaiting(task_id);
    await sql`select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = 'orchflow-live' and datname = current_database()`.execute(story.orchflow.db);
    await run.complete(task_id, { output: 'Fine.' });
  }
  await reader.untilDone();
  expect(reader.statuses).toEqual([200]);
  expect(reader.seqs()).toEqual(reader.events.map((_, index) => index + 1));
});

test('a cut stream is never an answer: the call is made again, and the text begins anew', async () => {
  const told: string[] = [];
  let reader: Reader | undefined;
  const beginnings = () => reader?.deltas.filter(({ task_id, offset }) => task_id === 'T1' && offset === 0);
  /** Begins when the reader is there, and breaks off when it has this: what was sent before a reset may be lost with it. */
  async function* pieces(time: number) {
    await until(() => Boolean(reader?.told().includes('task.started T1')), 'a reader');
    yield 'This answer never arrives whole.';
    await until(() => beginnings()?.length === time, 'it is read');
  }
  const run = await story.start({
    execute: ({ task_id }) => {
      if (task_id !== 'T1' || told.push('asked') > 2) return undefined;
      return { say: pieces(told.length), ending: told.length === 1 ? 'reset' : 'end' };
    },
  });
  reader = follow(run);
  await reader.untilDone();
  expect(await run.task('T1')).toMatchObject({ output: 'Output of T1.', attempts: 1 });
  expect(beginnings()).toHaveLength(3);
  expect(reader.streamed('T1')).toBe('Output of T1.');
});

test('nobody else can follow a run, and a wrong place to resume from is refused by name', async () => {
  const run = await story.start({});
  const other = await story.orchflow.register();
  const [foreign, unknown] = await Promise.all([open(other, run.run_id), open(other, 'run_unknown')]);
  expect([foreign.status, unknown.status]).toEqual([404, 404]);
  const bodies = await Promise.all([foreign, unknown].map((answer) => answer.json() as Promise<any>));
  expect({ ...bodies[0], request_id: '' }).toEqual({ ...bodies[1], request_id: '' });
  expect((await other.get(`/runs/${run.run_id}?wait=30`)).status).toBe(404);

  for (const query of ['?after=-1', '?after=99999999999']) {
    const answer = await open(story.user, run.run_id, {}, query);
    expect([answer.status, await answer.json()]).toMatchObject([422, { errors: [{ pointer: '/after' }] }]);
  }
  for (const query of ['wait=-1', 'wait=61', 'wait=x', 'wait=1&seen=x'])
    expect((await story.user.get(`/runs/${run.run_id}?${query}`)).status).toBe(422);
  await run.until('completed');
});

test('a reader that leaves leaves nothing behind, whether it follows a stream or waits for an answer', async () => {
  const run = await story.start({}, { ask_me_about: ['budget'] });
  await run.untilWaiting('T1');
  const leaving = new AbortController();
  const { url, runEvents } = story.orchflow;
  const headers = { 'x-api-key': story.user.api_key };
  const paths = ['/events', '?wait=60&seen=waiting_human'];
  const answers = paths.map((path) =>
    fetch(`${url}/api/v1/runs/${run.run_id}${path}`, { headers, signal: leaving.signal }),
  );
  await answers[0];
  await until(() => runEvents.watchers(run.run_id) === 2, 'both watch');
  leaving.abort();
  await Promise.allSettled(answers);
  await until(() => runEvents.watchers(run.run_id) === 0, 'nobody watches');
  await run.cancel();
});

describe.each(modes)('%s', (_, environment) => {
  const story = useStory(environment);

  test('?wait= answers as soon as the run waits for a person or has ended, and with `seen` on any other status', async () => {
    const { promise: answer, resolve: release } = Promise.withResolvers<string>();
    const run = await story.start({ execute: () => answer }, { ask_me_about: ['budget'] });
    const wait = async (query: string) => (await story.user.get(`/runs/${run.run_id}?${query}`)).body.status;
    expect(await wait('wait=30')).toBe('waiting_human');
    expect(await wait('wait=30')).toBe('waiting_human');
    const changed = wait('wait=30&seen=waiting_human');
    await run.complete('T1', { output: 'Ten.' });
    expect(await changed).toBe('running');
    expect(await wait('wait=0.1')).toBe('running');
    const ended = wait('wait=30');
    release('Done.');
    expect(await ended).toBe('completed');
    expect(await wait('wait=30&seen=completed')).toBe('completed');
  });

  test('a read that was asked to wait may take longer than any other answer', async () => {
    const run = await story.start({}, { ask_me_about: ['budget'] });
    await run.untilWaiting('T1');
    const answer = await story.user.get(`/runs/${run.run_id}?wait=3.5&seen=waiting_human`);
    expect(answer).toMatchObject({ status: 200, body: { status: 'waiting_human' } });
    await run.cancel();
  });
});

test('what has happened before an answer begins is told before it', async () => {
  const run = await story.start({ plan: ['Research the market', 'Write the report'] }, { ask_me_about: ['budget'] });
  const reader = follow(run);
  const before = new Map<string | null, string[]>();
  reader.source.addEventListener('delta', ({ data }) => {
    const { task_id, offset } = JSON.parse(data);
    if (offset === 0) before.set(task_id, reader.told());
  });
  await reader.until(() => reader.told().includes('gate.opened T1'));
  await run.complete('T1', { output: 'Ten.' });
  await reader.untilDone();
  expect(before.get(null)).toEqual(expect.arrayContaining(['task.completed T2', 'task.completed T3']));
});
