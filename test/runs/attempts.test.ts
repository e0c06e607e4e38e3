import { expect, test } from 'vitest';
import { insertLlmCall } from '../../db/llm-calls.ts';
import { startFakeModel } from '../fakes/model.ts';
import { until } from '../harness/orchflow.ts';
import { inTurn, scriptRun } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';

/** Planning is one activity of two calls, and so is an attempt of a task: what the second one needs and meets. */

const story = useStory();

const refusal = { status: 401, body: { error: { message: 'Incorrect API key provided.' } } };
const askedFor = (purpose: 'execute' | 'evaluate' | 'split' | 'infer', task_id?: string) =>
  story.model.callsFor(purpose).filter((call) => !task_id || call.task_id === task_id).length;

/** The activities of a run, as the Temporal Web UI names them. */
async function activitiesOf(run_id: string): Promise<string[]> {
  const handle = story.orchflow.client.workflow.getHandle(run_id);
  await handle.result();
  const { events } = await handle.fetchHistory();
  return events!.flatMap(({ activityTaskScheduledEventAttributes: scheduled, userMetadata }) =>
    scheduled ? [JSON.parse(Buffer.from(userMetadata!.summary!.data!).toString())] : [],
  );
}

test('the history of a run reads as its plan, in 45 events', async () => {
  const run = await story.start({
    dependencies: { T2: ['T1'], T3: ['T2'] },
    evaluate: inTurn({ passed: false, score: 0.2, feedback: 'Name the rivals.' }),
  });
  await run.until('completed');
  expect(await activitiesOf(run.run_id)).toEqual([
    'Plan the tasks',
    'T1 research: Research the market',
    'T1 research: Research the market, attempt 2',
    'T2 analyst: Analyse the findings',
    'T3 writer: Write the report',
    'Write the final output',
  ]);

  const usual = await story.start({ dependencies: { T2: ['T1'], T3: ['T2'] } });
  await usual.until('completed');
  const handle = story.orchflow.client.workflow.getHandle(usual.run_id);
  await handle.result();
  expect((await handle.fetchHistory()).events!.length).toBeLessThanOrEqual(45);
});

test('readers see the phases of planning, the tasks while their graph is inferred, and a draft while it is judged', async () => {
  const [inferred, judged] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
  const run = await story.start({ infer: () => inferred.promise, evaluate: () => judged.promise });
  await story.model.until(() => askedFor('infer') === 1);
  const planned = await run.get();
  expect(planned).toMatchObject({ phase: 'infer_deps' });
  expect(planned.tasks.map(({ title, status }) => `${title}: ${status}`)).toEqual([
    'Research the market: pending',
    'Analyse the findings: pending',
    'Write the report: pending',
  ]);
  inferred.resolve(undefined);

  await story.model.until(() => askedFor('evaluate') === 3);
  const { tasks } = await run.get();
  expect(tasks.map(({ status, output }) => `${status}: ${output}`)).toEqual(
    ['T1', 'T2', 'T3'].map((id) => `running: Output of ${id}.`),
  );
  judged.resolve(undefined);
  await run.until('completed');
  const events = await story.orchflow.db
    .selectFrom('run_events')
    .select(['seq', 'type', 'data'])
    .where('run_id', '=', run.run_id)
    .orderBy('seq')
    .execute();
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
  expect(events.slice(0, 5).map(({ type, data }) => [type, (data as { phase?: string }).phase])).toEqual([
    ['run.created', undefined],
    ['run.started', 'split_tasks'],
    ['run.phase', 'infer_deps'],
    ['run.planned', undefined],
    ['run.phase', 'execute'],
  ]);
});

test('an answer whose evaluation is refused for good is the draft of the person who decides, and is not asked for again', async () => {
  const run = await story.start({ evaluate: ({ task_id }) => (task_id === 'T1' ? refusal : undefined) });
  const waiting = await run.untilWaiting('T1');
  expect(waiting.tasks[0]).toMatchObject({ output: 'Output of T1.', gate: { kind: 'escalation' } });
  expect(waiting.tasks[0]!.gate!.reason).toContain('Incorrect API key');
  expect([askedFor('execute', 'T1'), askedFor('evaluate', 'T1')]).toEqual([1, 1]);
  await run.complete('T1', { decision: 'approve' });
  expect((await run.until('completed')).tasks[0]).toMatchObject({ output: 'Output of T1.', attempts: 1 });
});

test('a graph that is refused for good has the goal planned by another provider, without a second split', async () => {
  const run = await story.start({ infer: () => refusal });
  await run.untilWaiting('_planning');
  expect([askedFor('split'), askedFor('infer')]).toEqual([1, 1]);
  const other = await startFakeModel();
  scriptRun(other);
  await story.user.addProvider(other, 'openai', { replaces: story.provider_id });
  await run.complete('_planning', { decision: 'retry' });
  await run.until('completed');
  expect([askedFor('split'), other.callsFor('split').length, other.callsFor('infer').length]).toEqual([1, 0, 1]);
  await other.close();
});

test('a second call that the budget does not cover waits for a person; the first is not made again', async () => {
  // 9,500 tokens of the fake: an attempt at T1 uses up what an evaluation would need.
  const run = await story.start(
    {
      plan: ['Research', 'Compare', 'Report'],
      dependencies: { T2: ['T1'], T3: ['T2'] },
      execute: inTurn('x'.repeat(38_000)),
    },
    { max_tokens: 12_500 },
  );
  const waiting = await run.untilWaiting('_budget_1');
  expect(waiting.tasks[0]).toMatchObject({ status: 'running', attempts: 1 });
  expect([askedFor('execute'), askedFor('evaluate')]).toEqual([1, 0]);
  await run.complete('_budget_1', { decision: 'approve' });
  await story.model.until(() => askedFor('evaluate') === 1);
  expect(askedFor('execute', 'T1')).toBe(1);
  await run.cancel();
});

test('what is paid for in vain is counted for each call: four times the one, and four times the other', async () => {
  const broken = { finish: 'none' as const, text: 'Half an answer' };
  const run = await story.start({
    plan: ['Research', 'Compare', 'Report'],
    dependencies: { T2: ['T1'], T3: ['T2'] },
    execute: inTurn(broken, broken, broken),
    evaluate: inTurn(broken, broken, broken),
  });
  await until(async () => (await run.get()).tasks[0]?.status === 'completed', 'T1 is done in the fourth try of each');
  expect([askedFor('execute', 'T1'), askedFor('evaluate', 'T1')]).toEqual([4, 4]);
  await run.cancel();
});

test('what is judged when an operator cancels stays with its task', async () => {
  const run = await story.start({ evaluate: () => ({ hang: 'before_headers' }) });
  await story.model.until(() => askedFor('evaluate') === 3);
  await story.orchflow.client.workflow.getHandle(run.run_id).cancel();
  const { tasks } = await run.until('cancelled');
  expect(tasks.map(({ status, output }) => `${status}: ${output}`)).toEqual(
    ['T1', 'T2', 'T3'].map((id) => `cancelled: Output of ${id}.`),
  );
});

test('tasks that are shown when an operator cancels end with the run', async () => {
  const run = await story.start({ infer: () => ({ hang: 'before_headers' }) });
  await story.model.until(() => askedFor('infer') === 1);
  await story.orchflow.client.workflow.getHandle(run.run_id).cancel();
  const { tasks } = await run.until('cancelled');
  expect(tasks).toHaveLength(3);
  for (const task of tasks) expect(task).toMatchObject({ status: 'cancelled', completed_at: expect.any(String) });
});

test('of two answers to one call the first is shown, and nothing of the second', async () => {
  const asked = Promise.withResolvers<undefined>();
  const run = await story.start({ execute: ({ task_id }) => (task_id === 'T1' ? asked.promise : undefined) });
  await story.model.until(() => askedFor('execute', 'T1') === 1);
  const { db } = story.orchflow;
  // Another worker, which has taken over, was first.
  const call = { run_id: run.run_id, task_id: 'T1', purpose: 'execute_task', vendor: 'openai', model: 'gpt-4o-mini' };
  const [call_id, first] = [`${run.run_id}/T1/execute_task/1/1`, 'The first answer.'];
  const spent = {
    provider_id: story.provider_id,
    finish: 'stop' as const,
    input_tokens: 1,
    output_tokens: 1,
    cost_usd: 0,
  };
  await insertLlmCall(db, { ...call, ...spent, call_id, tool_calls: null, text: first });
  asked.resolve(undefined);
  const { tasks } = await run.until('completed');
  expect(tasks[0]).toMatchObject({ output: first });
  expect(story.model.callsFor('evaluate').find(({ task_id }) => task_id === 'T1')!.prompt).toContain(first);
});
