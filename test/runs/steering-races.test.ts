import { expect, test } from 'vitest';
import { until } from '../harness/orchflow.ts';
import { dependencies, outputsOf, plan, statesOf, useSteering } from '../harness/steering.ts';

/** What people do to the tasks of a run, and what comes in between: its end, a lost worker, another request. */

const story = useSteering();

test('a run goes back from its final output', async () => {
  const writing = Promise.withResolvers<undefined>();
  const run = await story.start({
    plan,
    dependencies,
    execute: story.execute,
    finalize: () => (story.model.callsFor('finalize').length === 1 ? writing.promise : 'The second final output.'),
  });
  await story.model.until(() => story.model.callsFor('finalize').length === 1);
  const { body } = await story.steer(run, 'T2', 'correct', { output: 'By hand.' });
  expect(body.redone).toEqual(['T4']);
  const done = await run.until('completed');
  writing.resolve(undefined);
  expect(done).toMatchObject({ final_output: 'The second final output.', phase: 'done' });
  expect(outputsOf(done)).toEqual(['T1, written 1.', 'By hand.', 'T3, written 1.', 'T4, written 2.']);
  expect((await story.eventsOf(run)).filter(({ type }) => type === 'run.completed')).toHaveLength(1);
});

test('what was accepted before the run could complete is done, whatever was first in Temporal', async () => {
  const { db } = story.orchflow;
  const run = await story.start({
    plan,
    dependencies,
    execute: story.execute,
  });
  await story.model.until(() => story.callsOf('T4') === 1);
  // Postgres has accepted it, and Temporal has yet to hear of it when the final output is there.
  await db.updateTable('runs').set({ steered: 1 }).where('run_id', '=', run.run_id).execute();
  const handle = story.orchflow.client.workflow.getHandle(run.run_id);
  const written = db.selectFrom('llm_calls').where('run_id', '=', run.run_id).where('purpose', '=', 'finalize_run');
  await until(async () => {
    const { pendingActivities } = (await handle.describe()).raw;
    return (await written.select('call_id').execute()).length === 1 && !pendingActivities?.length;
  }, 'its workflow has the final output');
  expect((await run.get()).status).toBe('running');
  const text_id = `${run.run_id}/steering/1`;
  await db.insertInto('texts').values({ text_id, run_id: run.run_id, text: 'By hand.' }).execute();
  await handle.signal('steer', { n: 1, action: 'correct', task_id: 'T2', output_id: text_id });
  await handle.signal('steer', { n: 1, action: 'correct', task_id: 'T2', output_id: text_id });
  const done = await run.until('completed');
  expect(outputsOf(done)).toEqual(['T1, written 1.', 'By hand.', 'T3, written 1.', 'T4, written 2.']);
});

test('a worker that is gone in the middle is replaced, and what was asked for is done once', async () => {
  const run = await story.startWaiting();
  await story.orchflow.stopWorker();
  expect((await story.steer(run, 'T2', 'retry', { feedback: 'Name the rivals.' })).status).toBe(200);
  expect((await story.steer(run, 'T3', 'correct', { output: 'A fox.' })).status).toBe(200);
  await story.orchflow.startWorker();
  const done = await story.approveRest(run, 'T2', 'T4');
  expect(outputsOf(done)).toEqual(['T1, written 1.', 'T2, written 2.', 'A fox.', 'T4, written 2.']);
});

test('the same request twice is one', async () => {
  const run = await story.startWaiting();
  const path = `/runs/${run.run_id}/tasks/T2/retry`;
  const headers = { 'x-api-key': story.user.api_key, 'content-type': 'application/json', 'idempotency-key': 'once' };
  const send = () => fetch(`${story.orchflow.url}/api/v1${path}`, { method: 'POST', headers, body: '{}' });
  expect(await (await send()).json()).toEqual(await (await send()).json());
  await story.approveRest(run, 'T2', 'T4');
  expect(story.callsOf('T2')).toBe(2);
});

test('a decision on the budget is asked for once, also when the task that asked for it first is skipped', async () => {
  const long = 'word '.repeat(2_000);
  const run = await story.start(
    {
      plan: ['Research the market', 'Analyse the findings', 'Draw the logo'],
      dependencies: { T2: ['T1'], T3: ['T1'] },
      execute: ({ task_id }) => (task_id === 'T1' ? long : undefined),
    },
    { max_tokens: 12_500 },
  );
  await run.untilWaiting('_budget_1');
  const waiting = await run.until(({ tasks }) => tasks.filter(({ status }) => status === 'running').length === 2);
  const [first] = waiting.tasks.filter(({ id, status }) => id !== '_budget_1' && status === 'running');
  expect((await story.steer(run, first!.id, 'skip')).status).toBe(200);
  await run.until(({ tasks }) => tasks.some(({ id, status }) => id === first!.id && status === 'skipped'));
  expect((await run.get()).waiting_tasks).toEqual(['_budget_1']);
  await run.complete('_budget_1', { decision: 'approve' });
  const done = await run.until('completed');
  expect(statesOf(done).filter((state) => state.endsWith('completed'))).toHaveLength(3);
});

test('a question about money that no call waits for any more ends with the run', async () => {
  const run = await story.start({ plan, dependencies, execute: story.execute }, { ask_me_about: ['x'] });
  await run.untilWaiting('T1');
  await story.user.patch(`/runs/${run.run_id}`, { max_tokens: 600 });
  await run.complete('T1', { output: 'This.' });
  await run.untilWaiting('_budget_1');
  // Before the last is cancelled, or the final output would ask too.
  await story.user.patch(`/runs/${run.run_id}`, { max_tokens: 1_000_000 });
  for (const id of ['T4', 'T2']) expect((await story.steer(run, id, 'cancel')).status).toBe(200);
  const done = await run.until('completed');
  expect(done.tasks.find(({ id }) => id === '_budget_1')).toMatchObject({
    status: 'skipped',
    gate: { status: 'closed' },
  });
});

test('an answer, or a result, and a retry that come in one moment: the retry counts', async () => {
  const run = await story.startWaiting();
  await story.orchflow.stopWorker();
  expect((await run.complete('T4', { decision: 'approve' })).status).toBe(200);
  expect((await story.steer(run, 'T4', 'retry', { feedback: 'Shorter.' })).status).toBe(200);
  await story.orchflow.startWorker();
  const done = await story.approveRest(run, 'T4');
  expect(done.tasks[3]).toMatchObject({ output: 'T4, written 2.', attempts: 2 });
  expect(story.prompts('T4')[1]).toContain('Shorter.');
});

test('the output of the last task is corrected while the final output is written', async () => {
  const writing = Promise.withResolvers<undefined>();
  const run = await story.start({
    plan,
    dependencies,
    execute: story.execute,
    finalize: () => (story.model.callsFor('finalize').length === 1 ? writing.promise : undefined),
  });
  await story.model.until(() => story.model.callsFor('finalize').length === 1);
  expect((await story.steer(run, 'T4', 'correct', { output: 'By hand.' })).body.redone).toEqual([]);
  const done = await run.until('completed');
  writing.resolve(undefined);
  expect(outputsOf(done).at(-1)).toBe('By hand.');
  expect(story.model.callsFor('finalize').at(-1)!.prompt).toContain('By hand.');
});

test('what comes after a task that is left out waits for what is before that', async () => {
  const run = await story.start({ plan, dependencies, execute: story.execute }, { require_approval: true });
  for (const id of ['T1', 'T3']) {
    await run.untilWaiting(id);
    await run.complete(id, { decision: 'approve' });
  }
  await run.untilWaiting('T2');
  await story.steer(run, 'T2', 'skip');
  await run.untilWaiting('T4');
  await story.steer(run, 'T1', 'retry');
  const done = await story.approveRest(run, 'T1', 'T4');
  expect(outputsOf(done)).toEqual(['T1, written 2.', null, 'T3, written 1.', 'T4, written 2.']);
  expect(story.prompts('T4')[1]).toContain('T1, written 2.');
});

test('a retry at the approval of a call begins anew, and does not take its arguments for a draft', async () => {
  const call = { call: [{ name: 'run_javascript', arguments: { code: '1 + 1' } }] };
  const run = await story.start(
    { execute: ({ task_id }) => (task_id === 'T1' && story.callsOf('T1') === 1 ? call : undefined) },
    { agents: [{ name: 'researcher', tools: [{ name: 'run_javascript', require_approval: true }] }] },
  );
  await run.untilWaiting('T1');
  expect((await story.steer(run, 'T1', 'retry', { feedback: 'Without code.' })).status).toBe(200);
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ status: 'completed', output: 'Output of T1.', gate: { status: 'closed' } });
  expect(story.prompts('T1').at(-1)).not.toContain('1 + 1');
});

test('what Temporal was never told is told when the run would complete without it', async () => {
  const { db, client } = story.orchflow;
  const run = await story.startWaiting();
  await story.orchflow.stopWorker();
  await story.steer(run, 'T3', 'correct', { output: 'A fox.' });
  const { run_id } = run;
  // As a process of the release before leaves it, which knows no such message.
  const handle = client.workflow.getHandle(run_id);
  const isHeard = async () => JSON.stringify((await handle.fetchHistory()).events).includes('"signalName":"steer"');
  await until(isHeard, 'it is told');
  await db.updateTable('runs').set({ steered: 2 }).where('run_id', '=', run_id).execute();
  await db
    .insertInto('texts')
    .values({ text_id: `${run_id}/steering/2`, run_id, text: 'A wolf.' })
    .execute();
  await db
    .updateTable('run_events')
    .set({ data: JSON.stringify({ n: 2, task_id: 'T3', output_id: `${run_id}/steering/2`, redone: [] }) })
    .where('run_id', '=', run_id)
    .where('type', '=', 'task.corrected')
    .execute();
  await story.orchflow.startWorker();
  const done = await story.approveRest(run, 'T4');
  expect(done.tasks[2]!.output).toBe('A wolf.');
});
