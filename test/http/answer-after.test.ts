import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { beforeAll, describe, expect, test } from 'vitest';
import { until, type User } from '../harness/orchflow.ts';
import { define } from '../harness/orchestration.ts';
import { promptly } from '../harness/processes.ts';
import { scriptRun } from '../harness/script.ts';
import { goal, modes, useStory } from '../harness/story.ts';

/** Answers that are waited for: they begin before a proxy or a client takes their silence for death. */

let story: ReturnType<typeof useStory>;

type Opened = { status: number; headers: Headers; rest: () => Promise<string> };

/** Resolves as soon as the response has begun. */
async function open(user: User, url: string, method: string, path: string, more: RequestInit = {}): Promise<Opened> {
  const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json', ...(more.headers as object) };
  const body = method !== 'POST' ? undefined : path.includes('/retry') ? '{}' : '{"message": "Go."}';
  const response = await fetch(`${url}/api/v1${path}`, { method, body, ...more, headers });
  return { status: response.status, headers: response.headers, rest: () => response.text() };
}

/** A fake model that answers only when it is let. */
function holdModel() {
  const { promise, resolve } = Promise.withResolvers<string>();
  scriptRun(story.model, { execute: () => promise });
  return () => resolve('Done.');
}

const steps = [
  { id: 'ask', type: 'human' },
  { id: 'write', type: 'llm', output_key: 'text' },
];

/** The requests that wait, each for a run that is at work until the model answers. */
const waits: Record<string, () => Promise<[method: string, path: string, init?: RequestInit]>> = {
  'POST /orchestrations/{id}/run': async () => [
    'POST',
    `/orchestrations/${await define(story.user, steps.slice(1))}/run?wait=60`,
  ],
  'POST /orchestrations/runs/{id}/resume': async () => {
    const paused = await story.user.post(`/orchestrations/${await define(story.user, steps)}/run`, { message: 'Go.' });
    return ['POST', `/orchestrations/runs/${paused.body.run_id}/resume?wait=60`, { body: '{"response": "Yes."}' }];
  },
  'POST /orchestrations/runs/{id}/retry': async () => {
    let isMended = false;
    story.model.on(() => (isMended ? undefined : { status: 400 }));
    const failed = await story.user.post(`/orchestrations/${await define(story.user, steps.slice(1))}/run`, {
      message: 'Go.',
    });
    isMended = true;
    return ['POST', `/orchestrations/runs/${failed.body.run_id}/retry?wait=60`];
  },
  'GET /orchestrations/runs/{id}': async () => {
    const orch_id = await define(story.user, steps.slice(1));
    const { body } = await story.user.post(`/orchestrations/${orch_id}/run?wait=0`, { message: 'Go.' });
    return ['GET', `/orchestrations/runs/${body.run_id}?wait=60`];
  },
  'GET /runs/{id}': async () => {
    const { run_id } = await story.user.startRun({ task: goal, provider_id: story.provider_id });
    return ['GET', `/runs/${run_id}?wait=60`];
  },
};

// What is answered in time with limits on is so without them.
describe.each(modes.slice(1))('%s', (_, environment) => {
  const own = useStory(environment);
  beforeAll(() => void (story = own));

  test.each(Object.keys(waits))('%s begins to answer while it waits, and is whole in the end', async (name) => {
    const release = holdModel();
    const [method, path, init] = await waits[name]!();
    const { status, headers, rest } = await open(story.user, story.orchflow.url, method, path, init);
    await story.model.until(() => story.model.openCalls > 0, 'the model is still at it');
    expect([status, headers.get('content-type'), headers.get('x-accel-buffering')]).toEqual([
      200,
      'application/json',
      'no',
    ]);
    release();
    const whole = await rest();
    expect(whole).toMatch(/^ +\{/);
    expect(JSON.parse(whole).status).toBe('completed');
  });

  test('a wait of three seconds or less is answered as it is, and so is what comes sooner, or is refused', async () => {
    const { user, orchflow } = story;
    const release = holdModel();
    const run = `/orchestrations/${await define(user, steps.slice(1))}/run`;
    for (const wait of [0, 1, 3]) {
      const { status, headers, body } = await user.post(`${run}?wait=${wait}`, { message: 'Go.' });
      expect([status, headers.get('x-accel-buffering'), body.status], `wait=${wait}`).toEqual([202, null, 'running']);
    }
    const paused = await user.post(`/orchestrations/${await define(user, steps)}/run?wait=60`, { message: 'Go.' });
    expect(paused.headers.get('content-length')).not.toBeNull();
    const refused: [number, string, string, object?][] = [
      [404, 'GET', '/runs/unknown?wait=60'],
      [404, 'GET', '/orchestrations/runs/unknown?wait=60'],
      [404, 'POST', '/orchestrations/unknown/run?wait=60', { message: 'Go.' }],
      [409, 'POST', `/orchestrations/runs/${paused.body.run_id}/retry?wait=60`],
      [422, 'POST', `${run}?wait=60`, { message: 'Go.', provider_id: 7 }],
      [422, 'POST', `${run}?wait=soon`, {}],
    ];
    for (const [status, method, path, body] of refused) {
      const asked = method === 'GET' ? user.get(path) : user.post(path, body);
      expect((await promptly(asked)).status, path).toBe(status);
    }
    release();
    expect(orchflow.runEvents.watchers(paused.body.run_id)).toBe(0);
  });

  test('a wait that ends without news has begun with 200, and says that the run goes on', async () => {
    const { user } = story;
    const release = holdModel();
    const orch_id = await define(user, steps.slice(1));
    const asked = user.post(`/orchestrations/${orch_id}/run?wait=4`, { message: 'Go.' });
    const { status, body } = await asked;
    expect([status, body]).toEqual([
      200,
      {
        status: 'running',
        run_id: expect.stringMatching(/^run_/),
        message: expect.stringContaining('goes on'),
        warnings: [],
      },
    ]);
    expect(await user.get(`/orchestrations/runs/${body.run_id}?wait=4`)).toMatchObject({
      status: 200,
      body: { status: 'running' },
    });
    release();
  });

  test('a read of an orchestration waits until its status is another than the one that was seen', async () => {
    const { user } = story;
    const paused = await user.post(`/orchestrations/${await define(user, steps)}/run`, { message: 'Go.' });
    const path = `/orchestrations/runs/${paused.body.run_id}`;
    expect((await user.get(`${path}?wait=60`)).body.status).toBe('paused');
    const changed = user.get(`${path}?wait=60&seen=paused`);
    await until(() => story.orchflow.runEvents.watchers(paused.body.run_id) === 1, 'it waits');
    await user.post(`${path}/cancel`, undefined);
    expect((await changed).body.status).toBe('cancelled');
    expect((await user.get(`${path}?wait=60&seen=cancelled`)).body.status).toBe('cancelled');
  });

  test('a client of HTTP/1.0 gets it to the end of the line, and HEAD has no body to wait for', async () => {
    const release = holdModel();
    const [, path] = await waits['GET /runs/{id}']!();
    const socket = connect(Number(new URL(story.orchflow.url).port), '127.0.0.1');
    socket.write(`GET /api/v1${path} HTTP/1.0\r\nX-API-Key: ${story.user.api_key}\r\n\r\n`);
    const said = text(socket);
    const head = await open(story.user, story.orchflow.url, 'HEAD', path);
    expect([head.status, await head.rest()]).toEqual([200, '']);
    await once(socket, 'readable');
    release();
    const [headers, body] = (await said).split('\r\n\r\n') as [string, string];
    expect(headers).toMatch(/^HTTP\/1\.\d 200 /);
    expect(headers).not.toMatch(/transfer-encoding/i);
    expect(JSON.parse(body).status).toBe('completed');
  });

  test.each(['before', 'after'])(
    'a client that leaves %s it has begun comes back for the answer with its Idempotency-Key',
    async (when) => {
      const { user, orchflow } = story;
      const release = holdModel();
      const [method, path] = await waits['POST /orchestrations/{id}/run']!();
      const headers = { 'idempotency-key': `leaver-${when}` };
      const leaving = new AbortController();
      const opening = open(user, orchflow.url, method, path, { headers, signal: leaving.signal });
      const left = opening.then(({ rest }) => rest());
      left.catch(() => {});
      await story.model.until(() => story.model.openCalls === 1, 'the model is at it');
      const { run_id } = (await user.get('/orchestrations/runs')).body.runs[0];
      await until(() => orchflow.runEvents.watchers(run_id) === 1, 'it waits');
      if (when === 'after') await opening;
      leaving.abort();
      await expect(left).rejects.toThrow();
      await until(() => orchflow.runEvents.watchers(run_id) === 0, 'nobody waits');

      let again: Opened | undefined;
      await until(async () => {
        again = await open(user, orchflow.url, method, path, { headers });
        return again.status !== 409;
      }, 'the key is free');
      release();
      const whole = await again!.rest();
      expect(whole).toMatch(/^ /);
      expect(JSON.parse(whole)).toMatchObject({ run_id, status: 'completed' });
      const replayed = await open(user, orchflow.url, method, path, { headers });
      expect([replayed.status, replayed.headers.get('idempotency-replayed')]).toEqual([200, 'true']);
      expect(await replayed.rest()).toBe(whole.trimStart());
      expect((await user.get('/orchestrations/runs')).body.runs).toHaveLength(1);
    },
  );
});
