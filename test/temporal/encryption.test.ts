import { Worker } from '@temporalio/worker';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { dataConverter } from '../../src/temporal/client.ts';
import { workflowBundle } from '../../src/temporal/workflow-bundle.ts';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { startOrchflow, type Orchflow, type TestRun } from '../harness/orchflow.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';
import { inTurn, scriptRun } from '../harness/script.ts';

/** What is in Temporal when its payloads are encrypted, and who can read it. */

const token = 'operator-token-of-this-test';
const origin = 'http://localhost:8233';
let orchflow: Orchflow;
let model: FakeModel;

beforeAll(async () => {
  orchflow = await startOrchflow({
    environment: { PAYLOAD_ENCRYPTION: 'true', CODEC_TOKEN: token, CODEC_ORIGINS: origin },
  });
});
afterAll(() => orchflow.stop());
beforeEach(async () => {
  model = await startFakeModel();
});
afterEach(() => model.close());

async function startRun(more: object = {}): Promise<TestRun> {
  const user = await orchflow.register();
  const provider_id = await user.addProvider(model);
  return user.startRun({ task: 'Sell the zebra.', provider_id, ...more });
}

async function historyOf({ run_id }: TestRun) {
  return orchflow.client.workflow.getHandle(run_id).fetchHistory();
}

type WirePayload = { metadata: Record<string, string>; data: string };

/** Every payload of a history, as the Web UI hands it to the codec. */
function payloadsOf(value: unknown): WirePayload[] {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [];
  const { metadata, data } = value as { metadata?: Record<string, Uint8Array>; data?: Uint8Array };
  if (metadata?.encoding && data) {
    const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
    const entries = Object.entries(metadata).map(([name, bytes]) => [name, base64(bytes)]);
    return [{ metadata: Object.fromEntries(entries) as Record<string, string>, data: base64(data) }];
  }
  return Object.values(value).flatMap(payloadsOf);
}

const bytesOf = (payloads: WirePayload[]) => payloads.map(({ data }) => Buffer.from(data, 'base64').toString()).join();

function post(path: string, payloads: unknown, authorization?: string) {
  const headers = { 'content-type': 'application/json', origin, ...(authorization && { authorization }) };
  return send(orchflow.url, 'POST', path, headers, JSON.stringify({ payloads }));
}

test('a run with its gates and failures leaves no plaintext in its history, and operators can decode all of it', async () => {
  const refusal = { status: 401, body: { error: { message: 'No zebra for this key.' } } };
  scriptRun(model, { plan: ['Feed the zebra', 'Weigh the zebra', 'Sell it'], execute: inTurn(refusal) });
  const run = await startRun({ ask_me_about: ['the zebra'] });
  await run.untilWaiting('T1');
  const handle = orchflow.client.workflow.getHandle(run.run_id);
  await handle.signal('completeTask', { task_id: 'T1', output: 'The zebra is called Zebediah.' });
  const { waiting_tasks } = await run.until(({ waiting_tasks }) => waiting_tasks.some((id) => id !== 'T1'));
  await run.complete(waiting_tasks[0]!, { decision: 'retry' });
  await run.until('completed');
  await handle.result();

  const history = await historyOf(run);
  const payloads = payloadsOf(history);
  const clear = payloads.filter(
    ({ metadata }) => Buffer.from(metadata.encoding!, 'base64').toString() !== 'binary/encrypted',
  );
  // Search attributes, which Temporal must read, and the core's own notes on local activities and patches: names and times.
  for (const { metadata, data } of clear) {
    const isNote = !metadata.type && /"(activity_type|deprecated)":/.test(Buffer.from(data, 'base64').toString());
    expect(metadata.type !== undefined || isNote, JSON.stringify(metadata)).toBe(true);
  }
  const everything = JSON.stringify(history) + bytesOf(payloads);
  for (const word of [/zebra/i, /Zebediah/, /Incorrect|refused|api key/i]) expect(everything).not.toMatch(word);

  const { status, body, headers } = await post('/codec/decode', payloads, `Bearer ${token}`);
  expect(status).toBe(200);
  expect(headers.get('access-control-allow-origin')).toBe(origin);
  expect(headers.get('access-control-allow-credentials')).toBe('true');
  const decoded = bytesOf(body.payloads);
  for (const word of ['Sell the zebra.', 'Feed the zebra', 'The zebra is called Zebediah.'])
    expect(decoded).toContain(word);

  const config = loadConfig(orchflow.env);
  const bundle = await workflowBundle({ encrypts: true });
  await Worker.runReplayHistory({ workflowBundle: bundle, dataConverter: dataConverter(config) }, history);
});

test('a run that fails leaves the reason to those who may read it', async () => {
  scriptRun(model);
  const run = await startRun({ human_gates: ['zebra'], gate_due_in: '1s', on_timeout: 'reject' });
  const { error } = await run.until('failed');
  expect(error).toContain('zebra');
  await expect(orchflow.client.workflow.getHandle(run.run_id).result()).rejects.toMatchObject({
    cause: { message: error },
  });
  const history = await historyOf(run);
  const closed = history.events!.at(-1)!.workflowExecutionFailedEventAttributes!.failure!;
  expect(closed).toMatchObject({ message: 'Encoded failure', stackTrace: '' });
  expect(JSON.stringify(history) + bytesOf(payloadsOf(history))).not.toContain(error);
});

test('the codec wants the token, as Bearer or as the password of Basic, and tells nothing without', async () => {
  const clear = [{ metadata: { encoding: btoa('json/plain') }, data: btoa('"secret"') }];
  const basic = (password: string) => `Basic ${btoa(`operator:${password}`)}`;
  const refused = [undefined, 'Bearer', 'Bearer wrong', basic('wrong'), basic(''), `Digest ${token}`];
  for (const authorization of refused) {
    for (const path of ['/codec/decode', '/codec/encode']) {
      const answer = await post(path, clear, authorization);
      expectProblem(answer, { status: 401, code: 'UNAUTHORIZED' });
      // Chromium asks for no password when there is a second scheme behind it.
      expect(answer.headers.get('www-authenticate')).toBe('Basic realm="Orchflow codec", charset="UTF-8"');
    }
  }
  // Nothing of a body is looked at before.
  const large = new Blob([new Uint8Array(17 * 1024 * 1024)]);
  const asked = (more: Record<string, string>, body: Blob | ReadableStream) =>
    send(orchflow.url, 'POST', '/codec/decode', { 'content-type': 'application/json', ...more }, body);
  for (const body of [large.slice(0, 1024), large.stream()]) expect((await asked({}, body)).status).toBe(401);
  expect((await asked({ authorization: basic(token) }, large.stream())).status).toBe(413);
  const encoded = await post('/codec/encode', clear, basic(token));
  expect(Buffer.from(encoded.body.payloads[0].metadata.encoding, 'base64').toString()).toBe('binary/encrypted');
  const decoded = await post('/codec/decode', [...encoded.body.payloads, ...clear], `Bearer ${token}`);
  expect(decoded.body.payloads).toEqual([...clear, ...clear]);

  const [{ metadata, data }] = encoded.body.payloads;
  const changed = Buffer.from(data, 'base64');
  changed[20]! ^= 1;
  expectFault(await post('/codec/decode', [{ metadata, data: changed.toString('base64') }], basic(token)), '/payloads');
  expectFault(await post('/codec/decode', [{ data: 'no base64!' }], basic(token)), '/payloads');
});

test('a browser takes the token at /codec/, for all that is below', async () => {
  const page = (headers?: Record<string, string>) => send(orchflow.url, 'GET', '/codec/', headers);
  expectProblem(await page(), { status: 401, code: 'UNAUTHORIZED' });
  const welcome = await page({ authorization: `Basic ${btoa(`operator:${token}`)}` });
  expect(welcome).toMatchObject({ status: 200, body: expect.stringContaining('go back to the Temporal Web UI') });
  expect((await fetch(`${orchflow.url}/codec`, { redirect: 'manual' })).headers.get('location')).toBe('/codec/');
});

test('browsers of other origins may not ask, and a server without a token has no codec', async () => {
  const preflight = (from: string) =>
    fetch(`${orchflow.url}/codec/decode`, {
      method: 'OPTIONS',
      headers: {
        origin: from,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type,x-namespace',
      },
    });
  const allowed = await preflight(origin);
  expect(allowed.status).toBe(204);
  expect(allowed.headers.get('access-control-allow-origin')).toBe(origin);
  expect(allowed.headers.get('access-control-allow-credentials')).toBe('true');
  expect(allowed.headers.get('access-control-allow-headers')).toBe('content-type,authorization,x-namespace');
  expect((await preflight('https://evil.example')).headers.get('access-control-allow-origin')).toBeNull();

  const plain = await startOrchflow({ worker: false });
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  expect((await send(plain.url, 'POST', '/codec/decode', headers, '{"payloads":[]}')).status).toBe(404);
  await plain.stop();
});

test('a run that began in the clear goes on encrypted, and the other way round', async () => {
  const { DATABASE_URL = '', TEMPORAL_TASK_QUEUE = '', ENCRYPTION_KEY = '' } = orchflow.env;
  scriptRun(model);
  const run = await startRun({ ask_me_about: ['the zebra'] });
  await run.untilWaiting('T1');
  await orchflow.stopWorker();
  const environment = { DATABASE_URL, TEMPORAL_TASK_QUEUE, ENCRYPTION_KEY };
  const plain = await startOrchflow({ environment });
  try {
    await run.complete('T1', { output: 'Zoe.' });
    await run.until('completed');
    await plain.client.workflow.getHandle(run.run_id).result();
  } finally {
    await plain.stop();
    await orchflow.startWorker();
  }
});
