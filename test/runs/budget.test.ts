import { expect, test } from 'vitest';
import type { TestRun } from '../harness/orchflow.ts';
import { useStory } from '../harness/story.ts';

/** What a run may spend: `max_cost_usd`, `max_tokens`, `on_budget`. */

const story = useStory();
/** 9,500 tokens of the fake. A call for a task reserves some 8,700 and what it reads; the plan uses 900. */
const longText = 'x'.repeat(38_000);

const openingsOf = async ({ run_id }: TestRun) =>
  (await story.orchflow.db.selectFrom('gates').select('gate_id').where('run_id', '=', run_id).execute()).length;
const warningsOf = ({ run_id }: TestRun) =>
  story.orchflow.db
    .selectFrom('run_events')
    .select('data')
    .where('run_id', '=', run_id)
    .where('type', '=', 'budget.warning')
    .execute();

test('calls at once wait for each other where the budget covers only some, and no person is asked', async () => {
  const { model } = story;
  const run = await story.start(
    {
      execute: async ({ task_id }) => {
        await model.until(() => model.callsFor('execute').length > 2 || model.openCalls === 2, 'two calls');
        return `Output of ${task_id}.`;
      },
    },
    { max_tokens: 20_000 },
  );
  const done = await run.until('completed');
  expect(model.maxOpenCalls).toBe(2);
  expect(done).toMatchObject({ max_tokens: 20_000, max_cost_usd: null, on_budget: 'gate' });
  expect(done.usage.input_tokens + done.usage.output_tokens).toBeLessThan(20_000);
  expect(await openingsOf(run)).toBe(0);
  expect(await story.orchflow.db.selectFrom('budget_reservations').selectAll().execute()).toEqual([]);
});

test('at the limit one person decides for all tasks; each approval grants it again and they go on', async () => {
  const run = await story.start(
    { dependencies: { T2: ['T1'], T3: ['T1'] }, execute: ({ task_id }) => (task_id === 'T1' ? longText : undefined) },
    { max_tokens: 12_500 },
  );
  const waiting = await run.untilWaiting('_budget_1');
  expect(waiting.tasks.at(-1)).toMatchObject({
    id: '_budget_1',
    kind: 'human',
    gate: { kind: 'budget', status: 'open', decisions: ['approve', 'reject'] },
  });
  expect(waiting.tasks.at(-1)!.gate!.reason).toMatch(/^Token limit exceeded: \d+ > max 12500 \(\d+ used/);
  expect(waiting.tasks[0]).toMatchObject({ status: 'running', attempts: 1, error: null });
  expect(await warningsOf(run)).toMatchObject([{ data: { max_tokens: 12_500, max_cost_usd: null } }]);
  expect(await run.complete('_budget_1', { decision: 'edit', output: 'More.' })).toMatchObject({ status: 422 });
  await run.complete('_budget_1', { decision: 'approve' });

  await run.until(({ tasks }) => tasks.slice(1).every((task) => task.status !== 'pending') && isAsked(tasks));
  expect(await openingsOf(run)).toBe(2);
  expect(story.prompts('T1')).toHaveLength(1);

  const asked = new Set<string>();
  for (let view = await run.get(); view.status !== 'completed';) {
    asked.add(view.tasks.at(-1)!.gate!.gate_id);
    await run.complete(view.tasks.at(-1)!.id, { decision: 'approve' });
    view = await run.until(({ status, tasks }) => status === 'completed' || isAsked(tasks, asked));
  }
  const done = await run.get();
  expect(done.tasks.map(({ id, status, attempts }) => [id, status, attempts])).toEqual([
    ['T1', 'completed', 1],
    ['T2', 'completed', 1],
    ['T3', 'completed', 1],
    ...Array.from({ length: asked.size + 1 }, (_, index) => [`_budget_${index + 1}`, 'completed', 0]),
  ]);
  expect(done.usage.llm_calls).toBe(9);
});

function isAsked(tasks: { gate: { kind: string; status: string; gate_id: string } | null }[], not = new Set<string>()) {
  return tasks.some(({ gate }) => gate?.kind === 'budget' && gate.status === 'open' && !not.has(gate.gate_id));
}

test('with on_budget "fail" the run fails before it spends more, and says how much', async () => {
  const run = await story.start({}, { max_cost_usd: 0.005, on_budget: 'fail' });
  const failed = await run.until('failed');
  expect(failed.error).toMatch(/^Cost limit exceeded: \$0\.005\d+ > max \$0\.005 \(\$0\.000\d+ used/);
  expect(failed.tasks.map((task) => task.status)).toEqual(['skipped', 'skipped', 'skipped']);
  expect(failed.usage.cost_usd).toBeLessThan(0.005);
  expect(story.model.callsFor('execute')).toEqual([]);
});

test('money is told with the digits that it has: no more of them for the computer, no fewer for the reader', async () => {
  const run = await story.start({ execute: () => longText }, { max_cost_usd: 0.02 });
  const waiting = await run.untilWaiting('_budget_1');
  const { used_cost_usd, max_cost_usd } = (await warningsOf(run))[0]!.data;
  const worked = waiting.tasks.filter(({ usage }) => usage.llm_calls > 0);
  const amounts = [waiting.usage, ...worked.map(({ usage }) => usage)].map(({ cost_usd }) => cost_usd);
  for (const amount of [...amounts, used_cost_usd, max_cost_usd]) expect(String(amount)).toMatch(/^0\.\d{1,9}$/);
  const { runs } = (await story.user.get(`/runs?cost_usd_from=${waiting.usage.cost_usd}&sort=cost_usd`)).body;
  expect(runs).toContainEqual(expect.objectContaining({ run_id: run.run_id, cost_usd: waiting.usage.cost_usd }));
  await run.cancel();

  const tiny = await story.start({}, { max_cost_usd: 0.0000001, on_budget: 'fail' });
  const { error } = await tiny.until('failed');
  expect(error).toMatch(/^Cost limit exceeded: \$0\.00\d+ > max \$0\.0000001 \(\$0\.00 used/);
});

test('a budget that does not even cover the plan asks before anything is spent; a rejection fails the run', async () => {
  const run = await story.start({}, { max_tokens: 3_000 });
  const waiting = await run.untilWaiting('_budget_1');
  expect(waiting).toMatchObject({ phase: 'split_tasks', waiting_tasks: ['_budget_1'], usage: { llm_calls: 0 } });
  const { gate_id } = waiting.tasks[0]!.gate!;
  await run.complete('_budget_1', { decision: 'approve' });
  const planned = await run.until(({ tasks }) => isAsked(tasks, new Set([gate_id])));
  expect(planned.tasks.map(({ id }) => id)).toEqual(['T1', 'T2', 'T3', '_budget_1', '_budget_2']);
  await run.complete('_budget_2', { decision: 'reject' });
  const failed = await run.until('failed');
  expect(failed.error).toMatch(/^Token limit exceeded: \d+ > max 6000/);
  expect(failed.tasks.map((task) => task.status)).toEqual([...Array(3).fill('skipped'), 'completed', 'skipped']);
});

test('a limit that is patched below what is used asks once, and the answer covers more than one call', async () => {
  const run = await story.start({}, { ask_me_about: ['the budget'], max_tokens: 500_000 });
  await run.untilWaiting('T1');
  const patch = (limit: object) => story.user.patch(`/runs/${run.run_id}`, limit);
  await patch({ max_tokens: 1 });
  await run.complete('T1', { output: 'Ten euros.' });
  await run.untilWaiting('_budget_1');
  expect((await run.complete('_budget_1', { decision: 'approve' })).status).toBe(200);
  await run.until('completed');
  expect(await openingsOf(run)).toBe(2);

  const cheap = await story.start({}, { ask_me_about: ['the budget'] });
  await cheap.untilWaiting('T1');
  await story.user.patch(`/runs/${cheap.run_id}`, { max_cost_usd: 0.000_001 });
  await cheap.complete('T1', { output: 'Ten euros.' });
  await cheap.untilWaiting('_budget_1');
  await cheap.complete('_budget_1', { decision: 'approve' });
  await cheap.until('completed');
  expect(await openingsOf(cheap)).toBe(2);
});

test('what a lost worker had reserved is found again by the retry, not doubled', async () => {
  const { model, orchflow } = story;
  const run = await story.start({ execute: () => ({ hang: 'before_headers' }) }, { max_tokens: 13_000 });
  await model.until(() => model.callsFor('execute').length === 1, 'a call');
  await orchflow.stopWorker();
  // As a worker leaves it that was killed in the call.
  const call_id = `${run.run_id}/${model.callsFor('execute')[0]!.task_id}/execute_task/1/1`;
  const expires_at = new Date(Date.now() + 3_600_000).toISOString();
  const lost = { call_id, run_id: run.run_id, tokens: 9_000, cost_usd: 0, expires_at };
  await orchflow.db
    .insertInto('budget_reservations')
    .values(lost)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  model.on((call) => (call.purpose === 'execute' ? `Output of ${call.task_id}.` : undefined));
  await orchflow.startWorker();
  const done = await run.until('completed');
  expect(done.usage.llm_calls).toBe(9);
  expect(await openingsOf(run)).toBe(0);
});
