import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { portFault } from '../../src/embedded/ports.ts';
import { askedAgain, isFirst } from '../harness/asked.ts';
import { type ModelCall } from '../fakes/model.ts';
import { until } from '../harness/orchflow.ts';
import { startApiProcess, startWorkerProcess } from '../harness/processes.ts';
import { startTemporalLine } from '../harness/proxy.ts';
import { scriptRun } from '../harness/script.ts';
import { untilBlocked } from '../harness/rows.ts';
import { useStory } from '../harness/story.ts';

/** Workers and APIs are processes here, and end in every way that a process can. */

const story = useStory({}, { worker: false });

const task = 'Launch a newsletter';

async function journal(run_id: string): Promise<string[]> {
  const { db } = story.orchflow;
  const calls = await db.selectFrom('llm_calls').select('call_id').where('run_id', '=', run_id).execute();
  return calls.map(({ call_id }) => call_id);
}

test('a worker killed in the middle of model calls: another goes on, and only those calls are made again', async () => {
  const hangFirst = (task_id: string) => (call: ModelCall) =>
    call.task_id === task_id && isFirst(story.model, call) ? { hang: 'before_headers' as const } : undefined;
  scriptRun(story.model, { execute: hangFirst('T2'), evaluate: hangFirst('T1') });
  const first = await story.startWorkerProcess();
  const run = await story.user.startRun({ task, provider_id: story.provider_id });
  await run.until(({ tasks }) => tasks.some(({ id, status }) => id === 'T3' && status === 'completed'));
  await story.model.until(() => story.model.openCalls === 2);
  await first.kill();

  await story.startWorkerHere();
  const done = await run.until('completed');
  expect(askedAgain(story.model).toSorted()).toEqual(['evaluate T1', 'execute T2']);
  expect(done.tasks.map(({ output, attempts }) => [output, attempts])).toEqual([
    ['Output of T1.', 1],
    ['Output of T2.', 1],
    ['Output of T3.', 1],
  ]);
  expect(done).toMatchObject({ warnings: [], usage: { llm_calls: 9 } });
});

test('a worker killed after an answer was accepted, before it could report it: the answer is not paid for again', async () => {
  const split = Promise.withResolvers<undefined>();
  scriptRun(story.model, { split: () => split.promise });
  const first = await story.startWorkerProcess();
  const run = await story.user.startRun({ task, provider_id: story.provider_id });
  await story.model.waitForCall(({ purpose }) => purpose === 'split');
  await story.orchflow.db.transaction().execute(async (lock) => {
    // Whoever has split the goal journals the answer, and then cannot store the tasks.
    await sql`lock table tasks in share mode`.execute(lock);
    split.resolve(undefined);
    await until(async () => (await journal(run.run_id)).length === 1, 'the answer in the journal');
    await first.kill();
  });

  await story.startWorkerHere();
  await run.until('completed');
  expect(askedAgain(story.model)).toEqual([]);
});

test('a worker killed when it had completed the run for its readers, and Temporal did not know: it completes there too', async () => {
  const final = Promise.withResolvers<undefined>();
  scriptRun(story.model, { finalize: () => final.promise });
  const { line, env } = await startTemporalLine(story.orchflow.env);
  const first = await startWorkerProcess(env);
  const run = await story.user.startRun({ task, provider_id: story.provider_id });
  await story.model.waitForCall(({ purpose }) => purpose === 'finalize');
  line.silence();
  final.resolve(undefined);
  const done = await run.until('completed');
  const handle = story.orchflow.client.workflow.getHandle(run.run_id);
  expect((await handle.describe()).status.name).toBe('RUNNING');
  await first.kill();
  line.close();

  await story.startWorkerHere();
  expect(await handle.result()).toMatchObject({ status: 'completed' });
  expect(await run.get()).toEqual(done);
  expect(done.completed_at! > done.tasks.at(-1)!.completed_at!).toBe(true);
  expect(askedAgain(story.model)).toEqual([]);
});

test('a worker that was cut off, and writes the final output when a person is asked for it already, does not end the run', async () => {
  const late = Promise.withResolvers<undefined>();
  scriptRun(story.model, {
    finalize: (call) => (isFirst(story.model, call) ? late.promise : { finish: 'refusal', text: 'No.' }),
  });
  const { line, env } = await startTemporalLine(story.orchflow.env);
  const first = await startWorkerProcess(env);
  const run = await story.user.startRun({ task, provider_id: story.provider_id });
  await story.model.waitForCall(({ purpose }) => purpose === 'finalize');
  // The SDK itself gives up an activity five seconds after the server did: the other worker must be there by then.
  await story.startWorkerHere();
  line.cut();
  await run.untilWaiting('T4');

  late.resolve(undefined);
  await until(() => first.log().includes('respond_activity_task_completed'), 'the late answer, reported in vain');
  expect(await run.get()).toMatchObject({ status: 'waiting_human', final_output: null, completed_at: null });
  await run.complete('T4', { decision: 'edit', output: 'Written by hand.' });
  expect(await run.until('completed')).toMatchObject({ final_output: 'Written by hand.' });
  const { db } = story.orchflow;
  const events = await db
    .selectFrom('run_events')
    .select('type')
    .where('run_id', '=', run.run_id)
    .orderBy('seq')
    .execute();
  expect(events.at(-1)).toEqual({ type: 'run.completed' });
  await first.kill();
  line.close();
});

test('a run that waits for a person needs no worker to be answered, and goes on with the next one', async () => {
  scriptRun(story.model);
  const first = await story.startWorkerProcess();
  const run = await story.user.startRun({ task, ask_me_about: ['brand voice'], provider_id: story.provider_id });
  await run.untilWaiting('T1');
  await first.kill();

  expect(await run.complete('T1', { output: 'Dry and friendly.' })).toMatchObject({ status: 200 });
  expect(await run.complete('T1', { output: 'Loud.' })).toMatchObject({ status: 409 });
  expect((await run.get()).waiting_tasks).toEqual([]);

  await story.startWorkerHere();
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ status: 'completed', output: 'Dry and friendly.' });
  for (const call of story.model.callsFor('execute')) expect(call.prompt).toContain('Dry and friendly.');
});

test('an answer is not lost when the worker that opened its gate was killed before it could tell Temporal', async () => {
  const inferred = Promise.withResolvers<undefined>();
  scriptRun(story.model, { infer: () => inferred.promise });
  const first = await story.startWorkerProcess();
  const run = await story.user.startRun({ task, ask_me_about: ['brand voice'], provider_id: story.provider_id });
  await story.model.waitForCall(({ purpose }) => purpose === 'infer');
  // What rides with that call is written: the next write is that of the gate.
  await run.until((view) => view.phase === 'infer_deps');
  await story.orchflow.db.transaction().execute(async (lock) => {
    await sql`lock table gates in share mode`.execute(lock);
    inferred.resolve(undefined);
    await untilBlocked(story.orchflow.db, 'the gate is being written');
    await first.kill();
  });
  // What it asked of Postgres is done, although nobody waited for it.
  await run.untilWaiting('T1');
  expect(await run.complete('T1', { output: 'Dry and friendly.' })).toMatchObject({ status: 200 });

  await story.startWorkerHere();
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ output: 'Dry and friendly.', gate: { status: 'answered' } });
});

test('a worker that is asked to end lets its calls end for a while, and hands over the rest', async () => {
  const answer = Promise.withResolvers<undefined>();
  scriptRun(story.model, {
    execute(call) {
      if (call.task_id === 'T1') return answer.promise;
      return call.task_id === 'T2' && isFirst(story.model, call) ? { hang: 'after_headers' } : undefined;
    },
  });
  const first = await story.startWorkerProcess();
  const run = await story.user.startRun({ task, provider_id: story.provider_id });
  const inFlight = () => story.model.openCalls === 2 && story.model.callsFor('evaluate').length === 1;
  await story.model.until(inFlight, 'T1 and T2 in flight');
  const ending = first.kill('SIGTERM');
  answer.resolve(undefined);
  expect(await ending).toBe('exit code 0');

  await story.startWorkerHere();
  const done = await run.until('completed');
  expect(askedAgain(story.model)).toEqual(['execute T2']);
  expect(done.tasks.map(({ attempts, error }) => [attempts, error])).toEqual(Array(3).fill([1, null]));
});

test('an API that is asked to end answers what it has begun', async () => {
  const api = await startApiProcess(story.orchflow.env);
  const client = await api.register();
  await story.orchflow.db.transaction().execute(async (lock) => {
    await sql`lock table api_keys in access exclusive mode`.execute(lock);
    const starting = client.post('/runs', { task, provider_id: null });
    await untilBlocked(story.orchflow.db, 'its key is being looked up');
    const ending = api.kill('SIGTERM');
    await until(async () => !(await portFault(Number(api.port))), 'it takes no more requests');
    await sql`commit`.execute(lock);
    expect(await starting).toMatchObject({ status: 201 });
    expect(await ending).toBe('exit code 0');
  });
});

test('an API whose log nobody reads any more goes on', async () => {
  const api = await startApiProcess({ ...story.orchflow.env, LOG_LEVEL: 'debug' });
  const client = await api.register();
  api.closeLog();
  for (let request = 0; request < 3; request += 1) expect((await client.get('/runs')).status).toBe(200);
  expect(api.isRunning()).toBe(true);
});

const kills = 4;

test(
  `a run whose worker is killed ${kills} times completes, with no accepted answer paid for twice`,
  { timeout: 240_000 },
  async () => {
    const plan = ['Research rivals', 'Interview users', 'Compare prices', 'Draft the plan', 'Review the plan'];
    scriptRun(story.model, { plan, dependencies: { T3: ['T1'], T4: ['T2', 'T3'], T5: ['T4'] } });
    story.model.latency_ms = 100;
    const run = await story.user.startRun({ task, require_approval: true, provider_id: story.provider_id });
    async function approve(): Promise<boolean> {
      const { waiting_tasks, status } = await run.get();
      await Promise.all(waiting_tasks.map((id) => run.complete(id, { decision: 'approve' })));
      return status === 'completed';
    }

    /** For each kill, how many calls there had been, and which answers had been accepted. */
    const lives: { calls: number; accepted: string[] }[] = [];
    for (let kill = 1; kill <= kills; kill += 1) {
      const worker = await story.startWorkerProcess();
      const enough = story.model.calls.length + 1 + Math.floor(Math.random() * 4);
      await until(async () => (await approve()) || story.model.calls.length >= enough, 'the run goes on');
      const moment = performance.now() + Math.random() * 250;
      await until(async () => (await approve()) || performance.now() > moment, 'a random moment');
      await worker.kill();
      lives.push({ calls: story.model.calls.length, accepted: await journal(run.run_id) });
    }
    await story.startWorkerHere();
    await until(approve, 'the run completes');

    const done = await run.get();
    expect(done.tasks.map(({ status, attempts }) => [status, attempts])).toEqual(plan.map(() => ['completed', 1]));
    expect(done.usage.llm_calls).toBe(3 + 2 * plan.length);
    const keys = story.model.calls.map(({ headers }) => String(headers['idempotency-key']));
    for (const { calls, accepted } of lives) {
      const later = keys.slice(calls);
      expect(accepted.filter((call_id) => later.some((key) => key.startsWith(`${call_id}-`)))).toEqual([]);
    }
    const starts = [0, ...lives.map(({ calls }) => calls)];
    for (const [life, start] of starts.entries()) {
      const asked = keys.slice(start, starts[life + 1]);
      expect(asked).toEqual([...new Set(asked)]);
    }
    await expectEachEventOnce(run.run_id, plan.length);
  },
);

async function expectEachEventOnce(run_id: string, tasks: number) {
  const { db } = story.orchflow;
  const events = await db.selectFrom('run_events').selectAll().where('run_id', '=', run_id).orderBy('seq').execute();
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
  const told = events.map(({ type, data }) => [type, data.task_id ?? data.phase].filter(Boolean).join(' '));
  expect(told).toEqual([...new Set(told)]);
  // For each task: started, evaluated, gate opened and answered, completed.
  expect(told.filter((line) => / T\d$/.test(line))).toHaveLength(5 * tasks);
  expect(told.at(-1)).toBe('run.completed');
}
