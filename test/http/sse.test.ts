import { execFile } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { EventSource } from 'eventsource';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AppEnv } from '../../src/http/env.ts';
import { listen } from '../../src/http/listen.ts';
import { sendEvents } from '../../src/http/sse.ts';
import { loadConfig } from '../../src/config.ts';
import { createEnvironment } from '../harness/orchflow.ts';
import { hasHttpxSse } from '../harness/python.ts';
import { useStory } from '../harness/story.ts';

/** Server-sent events as their readers take them: nothing that is no event looks like one. */

const story = useStory();
const events = [
  { event: 'first', data: { n: 1 } },
  { id: '7', data: { n: 2 } },
  { id: '7-done', event: 'done', data: {} },
];
const seen = [
  { event: 'first', id: '', data: '{"n":1}' },
  { event: 'message', id: '7', data: '{"n":2}' },
  { event: 'done', id: '7-done', data: '{}' },
];

let url: string;
let server: ReturnType<typeof listen>;

/** A stream with a heartbeat before, between and after all of these. */
async function* withHeartbeats() {
  yield null;
  for (const event of events) yield* [event, null, null];
}

beforeAll(async () => {
  const app = new Hono<AppEnv>().get('/events', (c) => sendEvents(c, () => withHeartbeats()));
  server = listen(app, loadConfig(await createEnvironment()));
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`;
});
afterAll(() => server.close());

async function lastSeq(run_id: string): Promise<number> {
  const runs = story.orchflow.db.selectFrom('runs').select('event_seq').where('run_id', '=', run_id);
  return (await runs.executeTakeFirstOrThrow()).event_seq;
}

/** The blocks of a stream: what stands between empty lines. */
const blocksOf = (text: string) => text.split('\n\n').slice(0, -1);

test('every block has data; the first says how soon to come back', async () => {
  const text = await (await fetch(url)).text();
  expect(blocksOf(text)).toHaveLength(events.length);
  for (const block of blocksOf(text)) expect(block).toMatch(/^data: /m);
  expect(text).toMatch(/^retry: 1000\n/);
  const run = await story.start({});
  await run.until('completed');
  const headers = { 'x-api-key': story.user.api_key };
  const whole = await (await fetch(`${story.orchflow.url}/api/v1/runs/${run.run_id}/events`, { headers })).text();
  for (const block of blocksOf(whole)) expect(block).toMatch(/^data: /m);
});

test('something leaves at once, before there is an event', async () => {
  const run = await story.start({}, { ask_me_about: ['budget'] });
  await run.untilWaiting('T1');
  const event_seq = await lastSeq(run.run_id);
  const headers = { 'x-api-key': story.user.api_key, 'last-event-id': String(event_seq) };
  const leaving = new AbortController();
  const response = await fetch(`${story.orchflow.url}/api/v1/runs/${run.run_id}/events`, {
    headers,
    signal: leaving.signal,
  });
  const { value } = await response.body!.getReader().read();
  expect(Buffer.from(value!).toString()).toBe('retry: 1000\n');
  leaving.abort();
  await run.cancel();
});

describe('is read by', () => {
  test('EventSource', async () => {
    const source = new EventSource(url);
    const read: object[] = [];
    for (const name of ['first', 'message', 'done']) {
      source.addEventListener(name, ({ type, lastEventId, data }) => read.push({ event: type, id: lastEventId, data }));
    }
    await new Promise((resolve) => source.addEventListener('done', resolve));
    source.close();
    expect(read).toEqual(seen);
  });

  test.skipIf(!hasHttpxSse)('httpx-sse', async () => {
    const script = `
import httpx, httpx_sse, json, sys
with httpx.Client() as client, httpx_sse.connect_sse(client, "GET", sys.argv[1]) as source:
    print(json.dumps([{"event": e.event, "id": e.id, "data": e.data} for e in source.iter_sse()]))`;
    const { stdout } = await promisify(execFile)('python3', ['-c', script, url]);
    expect(JSON.parse(stdout)).toEqual(seen);
  });
});

describe('Last-Event-ID', () => {
  const cases: [what: string, id: string, first: (last: number) => number][] = [
    ['an id of the stream goes on after it', '2', () => 3],
    ['an empty one is none', '', () => 1],
    ['an id of another stream is none', 'evt_8f2', () => 1],
    ['one that is no number any more is none', '9'.repeat(40), () => 1],
    ['one beyond the end is the end', '99999', (last) => last + 1],
    ['and so is a `done` that is none', '99999-done', (last) => last + 1],
  ];
  test.each(cases)('%s', async (_, id, first) => {
    const run = await story.start({}, { ask_me_about: ['budget'] });
    await run.untilWaiting('T1');
    const event_seq = await lastSeq(run.run_id);
    const headers = { 'x-api-key': story.user.api_key, 'last-event-id': id };
    const response = await fetch(`${story.orchflow.url}/api/v1/runs/${run.run_id}/events`, { headers });
    expect(response.status).toBe(200);
    await run.complete('T1', { output: 'Ten.' });
    const text = await response.text();
    expect(text).toContain('event: run.completed');
    const ids = [...text.matchAll(/^id: (\d+)$/gm)].map(([, seq]) => Number(seq));
    expect(ids[0]).toBe(first(event_seq));
    expect(ids).toEqual(ids.map((_, index) => ids[0]! + index));
  });
});
