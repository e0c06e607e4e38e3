import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { askedAgain } from '../harness/asked.ts';
import type { TestRun } from '../harness/orchflow.ts';
import { startApiProcess } from '../harness/processes.ts';
import { startTemporalLine } from '../harness/proxy.ts';
import { scriptRun } from '../harness/script.ts';
import { untilBlocked } from '../harness/rows.ts';
import { useStory } from '../harness/story.ts';

/** A failed run of a goal is tried again, and processes end meanwhile. */

const story = useStory({}, { worker: false });

const oneByOne = { dependencies: { T2: ['T1'], T3: ['T2'] } };
const late = { human_gates: ['report'], gate_due_in: '1s', on_timeout: 'reject' };
const start = (goal: object) =>
  story.user.startRun({ task: 'Launch a newsletter', provider_id: story.provider_id, ...goal });
const retry = ({ run_id }: TestRun, body?: object) => story.user.post(`/runs/${run_id}/retry`, body);
const retriesOf = async ({ run_id }: TestRun) => {
  const { events } = (await story.user.get(`/runs/${run_id}/audit`)).body;
  return events.filter(({ type }: { type: string }) => type === 'run.retried').length;
};

test('it is tried again before Temporal knows of its end: the worker died with the news, and the try stands', async () => {
  scriptRun(story.model, oneByOne);
  const worker = await story.startWorkerProcess();
  const run = await start(late);
  await run.untilWaiting('T3');
  await story.orchflow.db.transaction().execute(async (lock) => {
    await sql`lock table tasks in share mode`.execute(lock);
    await untilBlocked(story.orchflow.db, 'the failure is being written');
    await worker.kill();
  });
  await run.until('failed');

  expect((await retry(run, { gate_due_in: '1d' })).body).toMatchObject({ attempt: 2 });
  await story.startWorkerHere();
  await run.untilWaiting('T3');
  await run.complete('T3', { output: 'By hand.' });
  const done = await run.until('completed');
  expect(done.tasks.map(({ output }) => output)).toEqual(['Output of T1.', 'Output of T2.', 'By hand.']);
  expect(askedAgain(story.model)).toEqual([]);
});

test('a worker killed in a call of the second try: another goes on, and only that call is made again', async () => {
  let isDown = false;
  scriptRun(story.model, {
    ...oneByOne,
    finalize: () => (isDown ? undefined : { hang: 'before_headers' }),
  });
  const worker = await story.startWorkerProcess();
  const run = await start(late);
  await run.until('failed');
  await retry(run, { gate_due_in: '1d' });
  await run.untilWaiting('T3');
  await run.complete('T3', { output: 'By hand.' });
  await story.model.until(() => story.model.openCalls === 1, 'the last call');
  await worker.kill();
  isDown = true;
  await story.startWorkerHere();
  const done = await run.until('completed');
  expect(done).toMatchObject({ attempt: 2, final_output: 'The final output.' });
  expect(askedAgain(story.model)).toEqual(['finalize']);
});

test('an API killed when it has accepted a retry that Temporal has not heard of: the run goes on, once', async () => {
  scriptRun(story.model, oneByOne);
  const { line, env } = await startTemporalLine(story.orchflow.env);
  const worker = await story.startWorkerProcess();
  const run = await start(late);
  await run.until('failed');
  await expect(story.orchflow.client.workflow.getHandle(run.run_id).result()).rejects.toThrow();
  await worker.kill();
  const api = await startApiProcess(env);
  line.silence();
  const headers = { 'x-api-key': story.user.api_key, 'idempotency-key': 'again', 'content-type': 'application/json' };
  const request = { method: 'POST', headers, body: JSON.stringify({ gate_due_in: '1d' }) };
  const path = `/api/v1/runs/${run.run_id}/retry`;
  expect((await fetch(api.url + path, request)).status).toBe(200);
  await api.kill();
  line.close();
  expect(await (await fetch(story.orchflow.url + path, request)).json()).toMatchObject({ attempt: 2 });

  await story.startWorkerHere();
  await run.untilWaiting('T3');
  await run.complete('T3', { output: 'By hand.' });
  expect(await run.until('completed')).toMatchObject({ attempt: 2 });
  expect(await retriesOf(run)).toBe(1);
  expect(askedAgain(story.model)).toEqual([]);
});
