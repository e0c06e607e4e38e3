import { expect, test } from 'vitest';
import { endLostRun } from '../../db/run-ends.ts';
import { terminated } from '../../src/temporal/lost.ts';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { until, type TestRun } from '../harness/orchflow.ts';
import { runSteps } from '../harness/orchestration.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { inTurn } from '../harness/script.ts';
import { dependencies, outputsOf, plan, statesOf, useSteering } from '../harness/steering.ts';

/** `POST /runs/{id}/retry`: a failed run goes on where it stopped. The graph is T1 -> T2 -> T4, with T3 beside. */

// Where places are limited, a run that is tried again begins from the queue of its account.
const story = useSteering({ MAX_ACTIVE_RUNS_PER_ACCOUNT: '20' });

const retry = ({ run_id }: Pick<TestRun, 'run_id'>, body?: object) => story.user.post(`/runs/${run_id}/retry`, body);
const asked = () => story.model.calls.map(({ purpose, task_id }) => [purpose, task_id].filter(Boolean).join(' '));

/** As when an operator terminates its workflow, and that is found. */
async function terminate(run: TestRun): Promise<void> {
  await story.orchflow.client.workflow.getHandle(run.run_id).terminate('As a test wants it.');
  // It is not lost before Temporal has been told all that was accepted for it.
  await until(async () => {
    await endLostRun(story.orchflow.db, run.run_id, { status: 'failed', error: terminated });
    return (await run.get()).status === 'failed';
  }, 'the run has failed');
}

test('a gate that nobody answered in time is asked anew, and what is completed stands', async () => {
  const { model, user } = story;
  const webhook = await startFakeWebhook();
  const run = await story.start(
    { plan, dependencies },
    { human_gates: ['report'], gate_due_in: '1s', on_timeout: 'reject', webhook_url: webhook.url },
  );
  const failed = await run.until('failed');
  expect(statesOf(failed)).toEqual(['T1 completed', 'T2 completed', 'T3 completed', 'T4 skipped']);
  expect(failed).toMatchObject({ attempt: 1, error: expect.stringContaining('nobody answered') });
  const before = asked();

  const again = await retry(run, { note: 'Anna is back.', on_behalf_of: 'anna@acme.example' });
  expect(again).toMatchObject({ status: 200, body: { run_id: run.run_id, status: 'pending', attempt: 2 } });
  const waiting = await run.untilWaiting('T4');
  expect(waiting).toMatchObject({ attempt: 2, error: null, completed_at: null });
  const [was, is] = [failed.tasks[3]!.gate!, waiting.tasks[3]!.gate!];
  expect(is.gate_id).not.toBe(was.gate_id);
  expect(Date.parse(is.due_at!) - Date.parse(is.opened_at)).toBeGreaterThan(900);
  expect((await run.complete('T4', { output: 'By hand.' })).status).toBe(200);
  const done = await run.until('completed');
  expect(outputsOf(done)).toEqual(['Output of T1.', 'Output of T2.', 'Output of T3.', 'By hand.']);
  expect(done).toMatchObject({ attempt: 2, error: null, final_output: 'The final output.' });
  expect(asked()).toEqual([...before, 'finalize']);

  const events = await story.eventsOf(run);
  expect(events.map((_, index) => index + 1)).toEqual(events.map(({ seq }: any) => seq));
  const runEvents = events.filter(({ type }) => type.startsWith('run.'));
  expect(runEvents.map(({ type, data }) => [type, data.phase, data.attempt].filter(Boolean).join(' '))).toEqual([
    'run.created',
    'run.started split_tasks',
    'run.phase infer_deps',
    'run.planned',
    'run.phase execute',
    'run.failed',
    'run.retried 2',
    'run.started execute 2',
    'run.phase execute 2',
    'run.phase finalize 2',
    'run.completed 2',
  ]);
  expect(events.find(({ type }) => type === 'run.retried')!.data).toMatchObject({
    note: 'Anna is back.',
    by: { kind: 'key', on_behalf_of: 'anna@acme.example' },
  });
  await webhook.untilReceived('completed');
  const told = webhook.requests.map(({ payload }) => payload.event);
  expect(told.toSorted()).toEqual(['completed', 'failed', 'gate.overdue', 'waiting_human', 'waiting_human']);
  const { deliveries } = (await user.get(`/webhooks/deliveries?run_id=${run.run_id}`)).body;
  expect(new Set(deliveries.map(({ delivery_id }: any) => delivery_id)).size).toBe(deliveries.length);
  expect(model.callsFor('split')).toHaveLength(1);
  await webhook.close();
});

test('a budget that was exceeded fails the run again unless its limit is raised', async () => {
  const run = await story.start({}, { max_tokens: 7_500, on_budget: 'fail' });
  const failed = await run.until('failed');
  expect(failed.error).toMatch(/^Token limit exceeded: \d+ > max 7500/);
  expect(asked()).toEqual(['split', 'infer']);

  expect((await retry(run)).body).toMatchObject({ attempt: 2 });
  await run.until(({ status, attempt }) => status === 'failed' && attempt === 2);
  expect((await run.get()).error).toMatch(/^Token limit exceeded: \d+ > max 7500/);
  expect(asked()).toEqual(['split', 'infer']);

  expect((await retry(run, { max_tokens: 100_000 })).body).toMatchObject({ attempt: 3, warnings: [] });
  const done = await run.until('completed');
  expect(done).toMatchObject({ max_tokens: 100_000, attempt: 3, usage: { llm_calls: 9 } });
  expect(done.tasks.map(({ status }) => status)).toEqual(['completed', 'completed', 'completed']);
  expect(new Set(asked()).size).toBe(asked().length);
  const retried = (await story.eventsOf(run)).filter(({ type }) => type === 'run.retried');
  expect(retried.map(({ data }) => [data.attempt, data.changed])).toEqual([
    [2, undefined],
    [3, ['max_tokens']],
  ]);
  expect(retried[1]!.data).toMatchObject({ from: { max_tokens: 7_500 }, to: { max_tokens: 100_000 } });
});

test('a budget that does not even cover the plan: it is planned when the limit is raised', async () => {
  const run = await story.start({}, { max_tokens: 3_000, on_budget: 'fail' });
  await run.until('failed');
  await retry(run, { max_tokens: 100_000 });
  const done = await run.until('completed');
  expect(done.tasks.map(({ status }) => status)).toEqual(['completed', 'completed', 'completed']);
  expect(asked().filter((call) => call === 'split')).toHaveLength(1);
});

test('an attempt that was under way goes on with its feedback and its number, and nothing is paid twice', async () => {
  const hang = { hang: 'before_headers' as const };
  const run = await story.start({
    plan,
    dependencies,
    evaluate: inTurn({ passed: false, score: 0.2, feedback: 'Name the sources.' }),
    execute: ({ task_id }) => (task_id === 'T1' && story.callsOf('T1') === 2 ? hang : `${task_id}.`),
  });
  const evaluated = () => story.model.callsFor('evaluate').map(({ task_id }) => task_id);
  await run.until(({ tasks }) => tasks.some(({ attempts }) => attempts === 2));
  await story.model.until(() => story.model.openCalls >= 0 && story.callsOf('T1') + story.callsOf('T3') === 3);
  const again = (await run.get()).tasks.find(({ attempts }) => attempts === 2)!.id;
  await terminate(run);
  await retry(run);
  const done = await run.until('completed');
  expect(done.tasks.find(({ id }) => id === again)).toMatchObject({ attempts: 2 });
  expect(story.prompts(again).at(-1)).toContain('Name the sources.');
  expect(evaluated().filter((id) => id === again)).toHaveLength(2);
  expect(done.usage.llm_calls).toBe(2 + 2 * plan.length + 2 + 1);
});

test('a draft that waited for approval is asked about again, and not written again', async () => {
  const run = await story.startWaiting();
  const before = asked();
  await terminate(run);
  expect(statesOf(await run.get())).toEqual(['T1 completed', 'T2 completed', 'T3 completed', 'T4 skipped']);
  await retry(run);
  const waiting = await run.untilWaiting('T4');
  expect(waiting.tasks[3]).toMatchObject({ attempts: 1, gate: { kind: 'approval' }, output: 'T4, written 1.' });
  await run.complete('T4', { decision: 'reject', output: 'Shorter.' });
  const approved = await story.approveRest(run, 'T4');
  expect(approved.tasks[3]).toMatchObject({ attempts: 2 });
  expect(asked()).toEqual([...before, 'execute T4', 'evaluate T4', 'finalize']);
  expect(story.prompts('T4').at(-1)).toContain('Shorter.');
});

test('what people have left out stays so, and what they had done again is done', async () => {
  const run = await story.start({ plan, dependencies, execute: story.execute }, { require_approval: true });
  await run.untilWaiting('T1');
  await run.untilWaiting('T3');
  expect((await story.steer(run, 'T3', 'skip')).status).toBe(200);
  expect((await story.steer(run, 'T1', 'retry', { feedback: 'In euros.' })).status).toBe(200);
  await run.until(({ tasks }) => tasks[0]!.attempts === 2 && tasks[0]!.gate?.status === 'open');
  await terminate(run);
  await retry(run);
  const done = await story.approveRest(run, 'T1', 'T2', 'T4');
  expect(statesOf(done)).toEqual(['T1 completed', 'T2 completed', 'T3 skipped', 'T4 completed']);
  expect(done.tasks[0]).toMatchObject({ attempts: 2, output: 'T1, written 2.' });
  expect(story.callsOf('T1')).toBe(2);
});

test('what was accepted and never heard stands: an answer, and what was wanted of a task', async () => {
  const between = { T2: [], T3: ['T2'], T4: [], T5: ['T3'] };
  const run = await story.start(
    { plan, dependencies: between, execute: story.execute },
    { ask_me_about: ['the budget'], human_gates: ['report'], require_approval: true },
  );
  const [ask, research, analyse, logo] = ['T1', 'T2', 'T3', 'T4'];
  await run.untilWaiting(ask!);
  await run.complete(ask!, { output: 'Ten euros.' });
  await run.untilWaiting(logo!);
  await run.untilWaiting(research!);
  await run.complete(research!, { decision: 'approve' });
  await run.untilWaiting(analyse!);
  await story.orchflow.stopWorker();
  expect((await run.complete(analyse!, { decision: 'reject', output: 'With tables.' })).status).toBe(200);
  expect((await story.steer(run, logo!, 'retry', { feedback: 'In blue.' })).status).toBe(200);
  await terminate(run);
  await story.orchflow.startWorker();
  await retry(run);
  await run.until(({ tasks }) =>
    [2, 3].every((nth) => tasks[nth]!.attempts === 2 && tasks[nth]!.gate?.status === 'open'),
  );
  expect(story.prompts(analyse!).at(-1)).toContain('With tables.');
  expect(story.prompts(logo!).at(-1)).toContain('In blue.');
  for (const id of [analyse!, logo!]) await run.complete(id, { decision: 'approve' });
  await run.untilWaiting('T5');
  await run.complete('T5', { output: 'By hand.' });
  const done = await run.until('completed');
  expect(outputsOf(done)).toEqual(['Ten euros.', 'T2, written 1.', 'T3, written 2.', 'T4, written 2.', 'By hand.']);
});

test('people help with plan and final output again, and what they have said is known', async () => {
  const { model } = story;
  const run = await story.start({
    split: inTurn({ status: 401 }, { status: 401 }),
    finalize: inTurn({ status: 401 }, { status: 401 }, { status: 401 }),
  });
  await run.untilWaiting('_planning');
  await terminate(run);
  await retry(run);
  await run.untilWaiting('_planning');
  await run.complete('_planning', { decision: 'retry' });
  await run.untilWaiting('T4');
  await run.complete('T4', { decision: 'reject', output: 'Begin with the price.' });
  await run.until(({ waiting_tasks }) => waiting_tasks.length > 0 && model.callsFor('finalize').length === 2);
  await run.untilWaiting('T4');
  await terminate(run);
  await retry(run);
  await run.until(({ waiting_tasks }) => waiting_tasks.length > 0 && model.callsFor('finalize').length === 3);
  await run.complete('T4', { decision: 'retry' });
  const done = await run.until('completed');
  expect(model.callsFor('finalize').at(-1)!.prompt).toContain('Begin with the price.');
  expect(done.tasks.map(({ id, status }) => `${id} ${status}`).toSorted()).toEqual([
    'T1 completed',
    'T2 completed',
    'T3 completed',
    'T4 completed',
    '_planning completed',
  ]);
});

test('a call of a tool that a person has approved and that was made is not asked about again', async () => {
  const call = { call: [{ name: 'run_javascript', arguments: { code: '2' } }] };
  const hang = { hang: 'before_headers' as const };
  const agents = [{ name: 'worker', tools: [{ name: 'run_javascript', require_approval: true }] }];
  const run = await story.start(
    {
      plan: ['Add it up', 'Say it', 'Send it'],
      dependencies: { T2: ['T1'], T3: ['T2'] },
      execute: ({ task_id }) => {
        if (task_id !== 'T1') return undefined;
        return story.callsOf('T1') === 1 ? call : story.callsOf('T1') === 2 ? hang : 'It is 2.';
      },
    },
    { agents },
  );
  await run.untilWaiting('T1');
  await run.complete('T1', { decision: 'approve' });
  await story.model.until(() => story.callsOf('T1') === 2);
  await terminate(run);
  await retry(run);
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ output: 'It is 2.', attempts: 1 });
  const called = (await story.eventsOf(run)).filter(({ type }) => type === 'gate.opened');
  expect(called).toHaveLength(1);
});

test('an orchestration is tried again in the same way', async () => {
  story.model.on(inTurn({ status: 401 }, 'Said.') as never);
  const failed = await runSteps(story.user, [{ id: 'say', type: 'llm', output_key: 'said' }]);
  expect(failed.body.status).toBe('failed');
  expect((await retry(failed.body)).body).toMatchObject({ attempt: 2, run_id: failed.body.run_id });
  const run = story.user.openRun(failed.body.run_id);
  expect(await run.until('completed')).toMatchObject({ attempt: 2, final_output: 'Said.' });
});

test('only one that has failed, by who may, once for each request', async () => {
  const run = await story.start({}, { ask_me_about: ['the budget'] });
  await run.untilWaiting('T1');
  expectProblem(await retry(run), { status: 409, code: 'RUN_NOT_FAILED', run_status: 'waiting_human' });
  await terminate(run);
  const other = await story.orchflow.register();
  expectProblem(await other.post(`/runs/${run.run_id}/retry`, {}), { status: 404, code: 'NOT_FOUND' });
  expectFault(await retry(run, { max_tokens: 0 }), '/max_tokens');
  expectFault(await retry(run, { from: 'T1' }), '/from');
  expect((await run.get()).attempt).toBe(1);
  const url = `${story.orchflow.url}/api/v1/runs/${run.run_id}/retry`;
  const headers = { 'x-api-key': story.user.api_key, 'idempotency-key': 'once' };
  const answers = [];
  for (let times = 0; times < 2; times += 1) {
    answers.push(await (await fetch(url, { method: 'POST', headers })).json());
  }
  expect(answers).toMatchObject([{ attempt: 2 }, { attempt: 2 }]);
  expectProblem(await retry(run), { status: 409, code: 'RUN_NOT_FAILED', run_status: expect.any(String) as never });
  await run.untilWaiting('T1');
  expect((await run.get()).attempt).toBe(2);
  await run.cancel();
  await until(async () => (await run.get()).status === 'cancelled', 'it is cancelled');
  expectProblem(await retry(run), { status: 409, code: 'RUN_NOT_FAILED', run_status: 'cancelled' });
});
