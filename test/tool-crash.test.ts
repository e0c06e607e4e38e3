import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startFakeModel, type FakeModel } from './fakes/model.ts';
import { startFakeWeb, type FakeWeb } from './fakes/web.ts';
import { startOrchflow, until, type Orchflow } from './harness.ts';
import { killProcesses, startWorkerProcess } from './processes.ts';
import { replayHistories } from './replay.ts';
import { scriptRun } from './script.ts';

let orchflow: Orchflow;
let model: FakeModel;
let web: FakeWeb;

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false, environment: { HTTP_REQUEST_ALLOWED_PRIVATE_CIDRS: '127.0.0.0/8' } });
  model = await startFakeModel();
});
afterEach(() => killProcesses());
afterAll(async () => {
  await replayHistories(orchflow).finally(() => orchflow.stop());
  await model.close();
  model.assertNothingUnscripted();
  web.down();
});

test('a worker killed in the middle of a tool loop: that one call is made again, with its key, and the loop goes on', async () => {
  const paths = ['/one', '/two', '/three'];
  web = await startFakeWeb(({ path }) => {
    const isFirst = web.requests.filter((request) => request.path === path).length === 1;
    return path === '/two' && isFirst ? new Promise(() => {}) : { body: `Done ${path}.` };
  });
  scriptRun(model, {
    execute({ task_id, calls }) {
      if (task_id !== 'T1') return undefined;
      const path = paths[calls.length];
      if (!path) return calls.map(({ result }) => result!.split('\n').at(-1)).join(' ');
      return { call: [{ name: 'http_request', arguments: { url: web.url + path, method: 'POST' } }] };
    },
  });
  const user = await orchflow.register();
  const first = await startWorkerProcess(orchflow.env);
  const run = await user.startRun({
    task: 'Launch a newsletter',
    agents: [{ name: 'researcher', tools: ['http_request'] }],
    provider_id: await user.addProvider(model),
  });
  await until(() => web.requests.length === 2, 'the second call');
  await first.kill();

  await startWorkerProcess(orchflow.env);
  const done = await run.until('completed', 60_000);
  expect(done.tasks[0]).toMatchObject({ attempts: 1, output: 'Done /one. Done /two. Done /three.' });
  expect(web.requests.map(({ path }) => path)).toEqual(['/one', '/two', '/two', '/three']);
  const keys = web.requests.map(({ headers }) => headers['idempotency-key']);
  expect(keys[1]).toBe(keys[2]);
  expect(new Set(keys).size).toBe(3);
  const turns = model.calls.filter(({ task_id, purpose }) => task_id === 'T1' && purpose === 'execute');
  expect(turns).toHaveLength(4);
  const events = await orchflow.db.selectFrom('run_events').selectAll().where('run_id', '=', run.run_id).execute();
  expect(events.filter(({ type }) => type === 'tool.result')).toHaveLength(3);
});
