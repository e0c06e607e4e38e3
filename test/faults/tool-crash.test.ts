import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { startFakeWeb, type FakeWeb } from '../fakes/web.ts';
import { startOrchflow, until, type Orchflow } from '../harness/orchflow.ts';
import { killProcesses, startWorkerHere, startWorkerProcess } from '../harness/processes.ts';
import { replayHistories } from '../harness/replay.ts';
import { scriptRun } from '../harness/script.ts';
import { untilBlocked } from '../harness/rows.ts';

let orchflow: Orchflow;
let model: FakeModel;
const webs: FakeWeb[] = [];

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false, environment: { HTTP_REQUEST_ALLOWED_PRIVATE_CIDRS: '127.0.0.0/8' } });
  model = await startFakeModel();
});
afterEach(async () => {
  await killProcesses();
  model.reset();
});
afterAll(async () => {
  await replayHistories(orchflow).finally(() => orchflow.stop());
  await model.close();
  model.assertNothingUnscripted();
  webs.forEach((one) => one.down());
});

test('a worker killed in the middle of a tool loop: that one call is made again, with its key, and the loop goes on', async () => {
  const paths = ['/one', '/two', '/three'];
  const web: FakeWeb = await startFakeWeb(({ path }) => {
    const isFirst = web.requests.filter((request) => request.path === path).length === 1;
    return path === '/two' && isFirst ? new Promise(() => {}) : { body: `Done ${path}.` };
  });
  webs.push(web);
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

  await startWorkerHere(orchflow.env);
  const done = await run.until('completed');
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

test('a worker killed after a result is in the journal, before it could report it: the tool is not called again', async () => {
  const web = await startFakeWeb(() => ({ body: 'Done.' }));
  webs.push(web);
  const request = { name: 'http_request', arguments: { url: web.url } };
  scriptRun(model, {
    execute: ({ task_id, calls }) => (task_id === 'T1' && !calls.length ? { call: [request] } : undefined),
  });
  const user = await orchflow.register();
  const provider_id = await user.addProvider(model);
  const first = await startWorkerProcess(orchflow.env);
  const run = await orchflow.db.transaction().execute(async (lock) => {
    await sql`lock table tool_calls in share mode`.execute(lock);
    const agents = [{ name: 'researcher', tools: ['http_request'] }];
    const started = await user.startRun({ task: 'Launch a newsletter', agents, provider_id });
    await untilBlocked(orchflow.db, 'the result is being written');
    await first.kill();
    return started;
  });

  await startWorkerHere(orchflow.env);
  await run.until('completed');
  expect(web.requests).toHaveLength(1);
});
