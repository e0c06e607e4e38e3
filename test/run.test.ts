import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { startFakeModel, type FakeModel } from './fakes/model.ts';
import { startOrchflow, type Orchflow, type User } from './harness.ts';
import { scriptRun } from './script.ts';

let orchflow: Orchflow;
let user: User;
let model: FakeModel;
let provider_id: string;

beforeAll(async () => {
  orchflow = await startOrchflow();
});
afterAll(() => orchflow.stop());

beforeEach(async () => {
  [user, model] = await Promise.all([orchflow.register(), startFakeModel()]);
  provider_id = await user.addProvider(model);
});
afterEach(async () => {
  await model.close();
  model.assertNothingUnscripted();
});

const readmeGoal =
  'Plan and launch a faceless YouTube channel about AI tools for freelancers. Research 5 competing channels, extract content patterns, define our positioning, design a 30-day content plan, and produce a launch checklist.';

test('the example of the README: asks for context, uses the answer, and finishes', async () => {
  scriptRun(model, {
    plan: ['Research 5 competing channels', 'Define our positioning', 'Write a launch checklist'],
    dependencies: { T3: ['T2'], T4: ['T2', 'T3'] },
  });
  const run = await user.startRun({
    task: readmeGoal,
    agents: [{ name: 'research' }, { name: 'analyst' }, { name: 'writer' }],
    ask_me_about: ['brand voice', 'target audience'],
    require_approval: false,
    provider_id,
  });

  const waiting = await run.until('waiting_human');
  expect(waiting.waiting_tasks).toEqual(['T1']);
  expect(waiting.tasks[0]).toMatchObject({ id: 'T1', kind: 'human', status: 'waiting_human', gate: { kind: 'context', status: 'open' } });
  expect(waiting.tasks[0]!.description).toContain('brand voice');
  expect(model.callsFor('execute')).toEqual([]);

  const answer = 'Brand voice should be practical and founder-friendly. Target audience is solo freelancers.';
  const completed = await run.complete('T1', { output: answer });
  expect(completed).toMatchObject({ status: 200, body: { run_id: run.run_id, task_id: 'T1', decision: 'approve' } });

  const done = await run.until('completed');
  expect(done).toMatchObject({ phase: 'done', final_output: 'The final output.', error: null, warnings: [], waiting_tasks: [] });
  expect(done.tasks.map(({ id, kind, agent, depends_on, status, attempts }) => ({ id, kind, agent, depends_on, status, attempts }))).toEqual([
    { id: 'T1', kind: 'human', agent: null, depends_on: [], status: 'completed', attempts: 0 },
    { id: 'T2', kind: 'ai', agent: 'research', depends_on: ['T1'], status: 'completed', attempts: 1 },
    { id: 'T3', kind: 'ai', agent: 'writer', depends_on: ['T1', 'T2'], status: 'completed', attempts: 1 },
    { id: 'T4', kind: 'ai', agent: 'writer', depends_on: ['T1', 'T2', 'T3'], status: 'completed', attempts: 1 },
  ]);
  for (const call of [...model.callsFor('execute'), ...model.callsFor('finalize')]) expect(call.prompt).toContain(answer);
  expect(model.calls.find((call) => call.task_id === 'T4' && call.purpose === 'execute')!.prompt).toContain('Output of T3.');
  expect(done.usage.llm_calls).toBe(model.calls.length);
});
