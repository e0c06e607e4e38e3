import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { temporal } from '@temporalio/proto';
import { Worker } from '@temporalio/worker';
import { afterAll, expect, inject, test } from 'vitest';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import type { TestRun } from '../harness/orchflow.ts';
import { resume, runSteps, startSteps } from '../harness/orchestration.ts';
import { registerAgent, runAgent } from '../harness/agent.ts';
import { folder, keepHistories } from '../harness/histories.ts';
import { fetchHistories } from '../harness/replay.ts';
import { inTurn } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';

/**
 * Runs of yesterday go on with the code of today: the histories in test/histories, a folder for each release, are replayed
 * with it, and so is every run that the tests here make (`useStory` does that). Those of the present version are recorded
 * with: SAVE_HISTORIES=1 npx vitest run --config test/vitest.config.ts test/temporal/replay.test.ts
 * docs/changing-workflows.md says when.
 */

const { History } = temporal.api.history.v1;
const story = useStory({ RUN_HISTORY_LIMIT: '100' });
let webhook: FakeWebhook | undefined;
afterAll(() => webhook?.down());

const keep = (name: string, { run_id }: TestRun) => keepHistories(story.orchflow.client, name, run_id);

const saved = globSync('*/*.json', { cwd: folder });

test.skipIf(process.env.SAVE_HISTORIES)('there are saved histories', () => {
  expect(saved.length).toBeGreaterThan(0);
});

test.each(saved)('a run of yesterday goes on: %s', async (file) => {
  const history = History.fromObject(JSON.parse(readFileSync(path.join(folder, file), 'utf8')));
  await Worker.runReplayHistory({ workflowBundle: { codePath: inject('workflowBundle') } }, history);
});

test('a plain run, with a webhook', async () => {
  webhook = await startFakeWebhook();
  const run = await story.start({ dependencies: { T3: ['T1', 'T2'] } }, { webhook_url: webhook.url });
  await run.until('completed');
  await story.orchflow.client.workflow.getHandle(run.run_id).result();
  await keep('plain', run);
});

test('a run with context and human tasks', async () => {
  const run = await story.start({}, { ask_me_about: ['budget'], human_gates: ['report', 'legal approval'] });
  await run.untilWaiting('T1');
  await run.complete('T1', { output: 'Ten dollars.' });
  await run.untilWaiting('T4');
  await run.complete('T4', { output: 'A report.' });
  await run.untilWaiting('T5');
  await keep('waiting', run);
  await run.complete('T5', { output: 'Cleared.' });
  await run.until('completed');
  await story.orchflow.client.workflow.getHandle(run.run_id).result();
  await keep('gates', run);
});

test('a run with two gates at one task, and one that stands before another', async () => {
  const human_gates = ['report', { name: 'market report', gate_due_in: '1d' }, 'legal approval'];
  const plan = ['Research the market', { title: 'Analyse it', waits_for: [3] }, 'Write the market report'];
  const run = await story.start({ plan, dependencies: { T2: ['T1'], T3: ['T2'] } }, { human_gates });
  for (const id of ['T4', 'T3']) {
    await run.untilWaiting(id);
    await run.complete(id, { output: 'Done.' });
  }
  await run.until('completed');
  await story.orchflow.client.workflow.getHandle(run.run_id).result();
  await keep('guards', run);
});

test('a run with approvals, rejected and edited', async () => {
  const run = await story.start({ dependencies: { T2: ['T1'], T3: ['T2'] } }, { require_approval: true });
  const [decisions] = [[{ decision: 'reject', output: 'Shorter.' }, { decision: 'edit', output: 'Short.' }, {}, {}]];
  const answered = new Set<string>();
  for (const decision of decisions) {
    const { tasks } = await run.until(({ tasks: now }) =>
      now.some(({ gate }) => gate?.status === 'open' && !answered.has(gate.gate_id)),
    );
    const { id, gate } = tasks.find((task) => task.gate?.status === 'open')!;
    answered.add(gate!.gate_id);
    await run.complete(id, decision);
  }
  await run.until('completed');
  await story.orchflow.client.workflow.getHandle(run.run_id).result();
  await keep('approvals', run);
});

test('a run of one agent, with tools, that is sent back and then approved', async () => {
  const call = { call: [{ name: 'run_javascript', arguments: { code: '6 * 7' } }] };
  story.model.on(inTurn(call, 'It is 42.', 'It is 42, of course.'));
  const tools = [{ name: 'run_javascript', require_approval: true }];
  const { provider_id, user } = story;
  const agent_id = await registerAgent(user, { provider_id, tools, require_approval: true });
  const run = await runAgent(user, agent_id);
  for (const [kind, answer] of [
    ['tool_approval', { decision: 'approve' }],
    ['approval', { decision: 'reject', output: 'Say it better.' }],
    ['approval', { decision: 'approve' }],
  ] as const) {
    await run.until(({ tasks }) => tasks[0]?.gate?.kind === kind && tasks[0].gate.status === 'open');
    await run.complete('T1', answer);
  }
  await run.until('completed');
  await story.orchflow.client.workflow.getHandle(run.run_id).result();
  await keep('agent', run);
});

test('a run that is helped, by signal, after three failed evaluations and a refused key', async () => {
  const failed = { passed: false, score: 0.1, feedback: 'Thin.' };
  const run = await story.start({
    dependencies: { T2: ['T1'], T3: ['T2'] },
    evaluate: inTurn(failed, failed, failed),
    finalize: inTurn({ status: 401 }),
  });
  await run.untilWaiting('T1');
  const handle = story.orchflow.client.workflow.getHandle(run.run_id);
  await handle.signal('completeTask', { task_id: 'T1', decision: 'edit', output: 'By hand.' });
  await run.untilWaiting('T4');
  await run.complete('T4', { decision: 'retry' });
  await run.until('completed');
  await handle.result();
  await keep('escalations', run);
});

test('a run whose planning is helped twice', async () => {
  const run = await story.start({ split: inTurn({ status: 401 }), infer: inTurn({ status: 401 }) });
  const { tasks } = await run.untilWaiting('_planning');
  const [{ gate: first } = {}] = tasks;
  await run.complete('_planning', { decision: 'retry' });
  await run.until(({ tasks: now }) =>
    now.some(({ gate }) => gate?.status === 'open' && gate.gate_id !== first!.gate_id),
  );
  await run.complete('_planning', { decision: 'retry' });
  await run.until('completed');
  await story.orchflow.client.workflow.getHandle(run.run_id).result();
  await keep('planning', run);
});

test('a run that is cancelled while one task calls and another waits', async () => {
  const run = await story.start({ execute: () => ({ hang: 'before_headers' }) }, { human_gates: ['report'] });
  await run.untilWaiting('T3');
  await story.model.until(() => story.model.openCalls === 2, 'two calls');
  await run.cancel();
  await expect(story.orchflow.client.workflow.getHandle(run.run_id).result()).rejects.toThrow();
  await keep('cancelled', run);
});

test('a run whose gates remind people, are due, and are approved in the end', async () => {
  webhook ??= await startFakeWebhook();
  const late = { gate_due_in: '2s', remind_every: '1s', on_timeout: 'approve', webhook_url: webhook.url };
  const run = await story.start({}, { human_gates: ['legal approval'], ...late });
  await run.until('completed');
  await story.orchflow.client.workflow.getHandle(run.run_id).result();
  await keep('timeouts', run);
});

test('a run that is held, gets other terms, fails at a gate, and is tried again', async () => {
  const { user } = story;
  const run = await story.start(
    {},
    { ask_me_about: ['x'], human_gates: ['report'], on_timeout: 'reject', gate_due_in: '1d' },
  );
  const failed = () => expect(story.orchflow.client.workflow.getHandle(run.run_id).result()).rejects.toThrow();
  await run.untilWaiting('T1');
  await user.post(`/runs/${run.run_id}/hold`, undefined);
  await run.complete('T1', { output: 'Ten dollars.' });
  await run.untilWaiting('T4');
  await user.post(`/runs/${run.run_id}/release`, undefined);
  await run.until(({ tasks }) => tasks[1]!.status === 'completed' && tasks[2]!.status === 'completed');
  await user.patch(`/runs/${run.run_id}`, { gate_due_in: '1s' });
  await run.until('failed');
  await failed();
  await keep('failed', run);
  await user.post(`/runs/${run.run_id}/retry`, { gate_due_in: '1d' });
  await run.untilWaiting('T4');
  await run.complete('T4', { output: 'A report.' });
  await run.until('completed');
  await story.orchflow.client.workflow.getHandle(run.run_id).result();
  await keep('failed-again', run);
});

test('a run that continues as new', async () => {
  const run = await story.start({ dependencies: { T2: ['T1'], T3: ['T2'] } }, { require_approval: true });
  for (let attempt = 1; attempt <= 6; attempt += 1) {
    await run.until(({ tasks }) => tasks[0]?.attempts === attempt && tasks[0].gate?.status === 'open');
    await run.complete('T1', { decision: 'reject', output: `Remark ${attempt}.` });
  }
  await run.until(({ tasks }) => tasks[0]!.attempts === 7 && tasks[0]!.gate?.status === 'open');
  for (const id of ['T1', 'T2', 'T3']) {
    await run.untilWaiting(id);
    await run.complete(id, {});
  }
  await run.until('completed');
  const handle = story.orchflow.client.workflow.getHandle(run.run_id);
  await handle.result();
  expect((await fetchHistories(story.orchflow.client, run.run_id)).length).toBeGreaterThan(1);
  await keep('continued', run);
});

test('an orchestration with branches, a loop, a route and people, that is tried again', async () => {
  story.model.on(({ purpose }) => (purpose === 'route' ? { route: 'on', reasoning: 'So.' } : 'Text.'));
  const failed = await runSteps(story.user, [
    { id: 'fork', type: 'parallel', parallel_branches: [['a'], ['ask']], next_step_id: 'loop' },
    { id: 'a', type: 'llm', output_key: 'a', next_step_id: 'loop' },
    { id: 'ask', type: 'human', output_key: 'ask', next_step_id: 'loop' },
    { id: 'loop', type: 'loop', loop_count: 2, loop_step_ids: ['b'], next_step_id: 'route' },
    { id: 'b', type: 'llm', output_key: 'b', next_step_id: null },
    { id: 'route', type: 'evaluator', route_map: { on: 'bad', off: null } },
    { id: 'bad', type: 'transform', transform_code: 'if (Math.random() < 2) throw new Error("no")' },
  ]).then((paused) => resume(story.user, paused, 'Yes.'));
  expect(failed.body.status).toBe('failed');
  const run = story.user.openRun(failed.body.run_id);
  const ended = () => expect(story.orchflow.client.workflow.getHandle(run.run_id).result()).rejects.toThrow();
  await ended();
  await keep('orchestration', run);
  await story.user.post(`/orchestrations/runs/${run.run_id}/retry`, {});
  await ended();
  await keep('orchestration-again', run);
});

test('an orchestration in which a draft is sent back too often, by signals, and that is tried again', async () => {
  const human_fields = [{ name: 'ok', type: 'boolean', required: true }];
  const often = { max_iterations: 9 };
  const paused = await runSteps(story.user, [
    { id: 'draft', type: 'print', print_content: 'A draft.', output_key: 'draft', max_iterations: 2 },
    { id: 'review', type: 'human', human_fields, output_key: 'review', ...often },
    { id: 'decide', type: 'if_else', if_condition: 'state.review.ok', if_false_step_id: 'draft', ...often },
    { id: 'end', type: 'end' },
  ]);
  const run = story.user.openRun(paused.body.run_id);
  const handle = story.orchflow.client.workflow.getHandle(run.run_id);
  const signal = (task_id: string, output: unknown) => handle.signal('completeTask', { task_id, output });
  await signal('review', 'maybe');
  await signal('review', { ok: 'false' });
  await run.untilWaiting('review.2');
  await signal('review.2', 'FALSE');
  await run.until('failed');
  await expect(handle.result()).rejects.toThrow();
  await keep('sent-back', run);
  const again = await story.user.post(`/orchestrations/runs/${run.run_id}/retry`, {});
  await resume(story.user, again, true.toString());
  expect(await handle.result()).toMatchObject({ status: 'completed' });
  await keep('sent-back-again', run);
});

test('an orchestration whose people are reminded and too late, and whose budget is granted', async () => {
  webhook ??= await startFakeWebhook();
  story.model.on(({ task_id }) => (task_id === 'first' ? 'x'.repeat(20_000) : 'Short.'));
  const paused = await startSteps(
    story.user,
    [
      { id: 'ask', type: 'human', output_key: 'ask' },
      { id: 'legal', type: 'human', gate_due_in: '1s', output_key: 'legal' },
      { id: 'first', type: 'llm', output_key: 'first' },
      { id: 'second', type: 'llm', output_key: 'second' },
    ],
    {
      gate_due_in: '2s',
      remind_every: '1s',
      on_timeout: 'approve',
      webhook_url: webhook.url,
      max_tokens: 12_000,
      on_budget: 'gate',
      initial_state: { tone: 'dry' },
    },
  );
  const run = story.user.openRun(paused.body.run_id);
  await run.untilWaiting('_budget_1');
  await run.complete('_budget_1', { decision: 'approve' });
  await run.until('completed');
  await story.orchflow.client.workflow.getHandle(run.run_id).result();
  await keep('orchestration-terms', run);
});

test('an orchestration that is done again from a step in a branch, with edits', async () => {
  story.model.on(() => 'Text.');
  const paused = await runSteps(story.user, [
    { id: 'first', type: 'print', print_content: 'First.', output_key: 'first' },
    { id: 'fork', type: 'parallel', parallel_branches: [['a'], ['ask']], next_step_id: 'out' },
    { id: 'a', type: 'llm', output_key: 'a', next_step_id: 'out' },
    { id: 'ask', type: 'human', output_key: 'ask', next_step_id: 'out' },
    { id: 'out', type: 'print', print_content: '{state.first} {state.a}', output_key: 'out' },
  ]);
  await resume(story.user, paused, 'Yes.');
  const edited = { from_task: 'a', edits: { first: 'Edited.' } };
  const { body } = await story.user.post(`/runs/${paused.body.run_id}/rerun`, edited);
  const run = story.user.openRun(body.run_id);
  expect((await run.until('completed')).final_output).toBe('Edited. Text.');
  await story.orchflow.client.workflow.getHandle(run.run_id).result();
  await keep('orchestration-rerun', run);
});
