import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import { askedAgain } from '../harness/asked.ts';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { endProcesses, startApiProcess, startWorkerHere, startWorkerProcess } from '../harness/processes.ts';
import { startTemporalLine } from '../harness/proxy.ts';
import { untilGone } from '../harness/purged.ts';
import { tablesWith } from '../harness/rows.ts';
import { scriptRun } from '../harness/script.ts';

/** Runs are purged while their workers are dead, so that much is still to come of them. */

let orchflow: Orchflow;
let user: User;
let model: FakeModel;
let endpoint: FakeWebhook;
let provider_id: string;

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
});
afterAll(() => orchflow.stop());

beforeEach(async () => {
  [user, model, endpoint] = await Promise.all([orchflow.register(), startFakeModel(), startFakeWebhook()]);
  provider_id = await user.addProvider(model);
});
afterEach(() => endProcesses(model).finally(() => endpoint.close()));

const task = 'Launch a newsletter';
const startWorker = () => startWorkerProcess(orchflow.env);
const purge = (run_id: string) => user.delete(`/runs/${run_id}?purge=true`);
const tablesOf = (run_id: string) => tablesWith(orchflow.db, 'run_id', run_id);
const handleOf = (run_id: string) => orchflow.client.workflow.getHandle(run_id);

/** Expects that the run has ended in Temporal, that its webhook has heard of it once, and that no call was made again. */
async function expectEnded(run_id: string, event: string) {
  expect(endpoint.requests.map(({ payload }) => payload)).toEqual([{ run_id, event, waiting_tasks: [] }]);
  expect((await handleOf(run_id).describe()).status.name).not.toBe('RUNNING');
  expect(askedAgain(model)).toEqual([]);
  expect(await tablesOf(run_id)).toEqual([]);
}

test('a worker killed in the middle of the calls of a run that is cancelled and purged: the next one ends it, and makes none', async () => {
  scriptRun(model, { execute: () => ({ hang: 'before_headers' as const }) });
  const first = await startWorker();
  const run = await user.startRun({ task, provider_id, webhook_url: endpoint.url });
  await model.until(() => model.openCalls === 3);
  await first.kill();
  await run.cancel();
  expect((await purge(run.run_id)).status).toBe(200);
  expect((await purge(run.run_id)).status).toBe(404);

  const { run_id } = run;
  // Temporal has heard of the cancellation, and nobody is there to end the run.
  await until(
    async () => (await handleOf(run_id).describe()).raw.workflowExtendedInfo?.cancelRequested === true,
    'it is asked',
  );
  expect(await tablesOf(run_id)).toContain('runs');
  const second = await startWorker();
  await untilGone(orchflow.db, run_id);
  await expectEnded(run_id, 'cancelled');
  expect((await handleOf(run_id).describe()).status.name).toBe('CANCELLED');
  expect(second.log()).not.toMatch(/"level":(50|60)/);
});

test('a worker killed when it had completed the run for its readers, and Temporal did not know: purged, it is paid for no more', async () => {
  const final = Promise.withResolvers<undefined>();
  scriptRun(model, { finalize: () => final.promise });
  const { line, env } = await startTemporalLine(orchflow.env);
  const first = await startWorkerProcess(env);
  const run = await user.startRun({ task, provider_id, webhook_url: endpoint.url });
  await model.waitForCall(({ purpose }) => purpose === 'finalize');
  line.silence();
  final.resolve(undefined);
  await run.until('completed');
  await first.kill();
  line.close();
  expect((await handleOf(run.run_id).describe()).status.name).toBe('RUNNING');
  expect((await purge(run.run_id)).status).toBe(200);

  await startWorkerHere(orchflow.env);
  await untilGone(orchflow.db, run.run_id);
  await expectEnded(run.run_id, 'completed');
  // Nobody has written the final output anew, which Temporal waits for: it was told to stop.
  expect((await handleOf(run.run_id).describe()).status.name).toBe('CANCELLED');
});

test('a worker killed before it could send the webhook of the end: the next one sends it, and then the run is gone', async () => {
  scriptRun(model);
  const first = await startWorker();
  endpoint.answer({ hang: true });
  const run = await user.startRun({ task, provider_id, webhook_url: endpoint.url });
  await endpoint.untilReceived('completed');
  await first.kill();
  await purge(run.run_id);
  endpoint.answer({ status: 204 });
  endpoint.requests.splice(0);
  await startWorkerHere(orchflow.env);
  await untilGone(orchflow.db, run.run_id);
  await expectEnded(run.run_id, 'completed');
});

test('an API killed between the purge and the end: another one takes the rest away', async () => {
  scriptRun(model);
  const own = await startApiProcess(orchflow.env);
  const run = await user.startRun({ task, provider_id, ask_me_about: ['x'], webhook_url: endpoint.url });
  const headers = { 'x-api-key': user.api_key };
  for (const query of ['', '?purge=true']) {
    const url = `${own.url}/api/v1/runs/${run.run_id}${query}`;
    expect((await fetch(url, { method: 'DELETE', headers })).status).toBe(200);
  }
  await own.kill();
  await startWorkerHere(orchflow.env);
  await untilGone(orchflow.db, run.run_id);
  await expectEnded(run.run_id, 'cancelled');
  expect(model.calls).toEqual([]);
});

test('an operator who resets a run that is purged and gone has a workflow that can do nothing, and workers live', async () => {
  scriptRun(model);
  const worker = await startWorker();
  const run = await user.startRun({ task, provider_id });
  await run.until('completed');
  await purge(run.run_id);
  await untilGone(orchflow.db, run.run_id);
  const calls = model.calls.length;

  const { client } = orchflow;
  const { events } = await handleOf(run.run_id).fetchHistory();
  const done = events!.find((event) => event.workflowTaskCompletedEventAttributes)!;
  await client.workflowService.resetWorkflowExecution({
    namespace: client.options.namespace,
    workflowExecution: { workflowId: run.run_id },
    workflowTaskFinishEventId: done.eventId,
    reason: 'by mistake',
    requestId: run.run_id,
  });
  await until(async () => {
    const { events: again } = await handleOf(run.run_id).fetchHistory();
    return JSON.stringify(again).includes('NoSuchRun');
  }, 'its first activity is refused');
  await handleOf(run.run_id).cancel();
  await until(async () => (await handleOf(run.run_id).describe()).status.name === 'CANCELLED', 'it is cancelled');
  const other = await user.startRun({ task, provider_id });
  await other.until('completed');
  expect(model.calls.length).toBe(calls * 2);
  expect(worker.isRunning()).toBe(true);
  expect(await tablesOf(run.run_id)).toEqual([]);
});
