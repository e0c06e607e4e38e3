import { expect, test } from 'vitest';
import { findTemplate } from '../../src/agents/templates.ts';
import { useStory } from '../harness/story.ts';

const story = useStory();

const readmeRun = {
  task: 'Plan and launch a faceless YouTube channel about AI tools for freelancers. Research 5 competing channels, extract content patterns, define our positioning, design a 30-day content plan, and produce a launch checklist.',
  agents: [{ name: 'research' }, { name: 'analyst' }, { name: 'writer' }],
  ask_me_about: ['brand voice', 'target audience'],
  require_approval: false,
};
const readmeAnswer = 'Brand voice should be practical and founder-friendly. Target audience is solo freelancers.';

test('the example of the README: asks for context, uses the answer, and finishes', async () => {
  const run = await story.start(
    {
      plan: ['Research 5 competing channels', 'Define our positioning', 'Write a launch checklist'],
      dependencies: { T3: ['T2'], T4: ['T2', 'T3'] },
    },
    readmeRun,
  );

  const waiting = await run.until('waiting_human');
  expect(waiting.waiting_tasks).toEqual(['T1']);
  expect(waiting.tasks[0]).toMatchObject({
    id: 'T1',
    kind: 'human',
    status: 'waiting_human',
    gate: { kind: 'context', status: 'open' },
  });
  expect(waiting.tasks[0]!.description).toContain('brand voice');
  expect(story.model.callsFor('execute')).toEqual([]);

  const completed = await run.complete('T1', { output: readmeAnswer });
  expect(completed).toMatchObject({ status: 200, body: { run_id: run.run_id, task_id: 'T1', decision: 'approve' } });

  const done = await run.until('completed');
  expect(done).toMatchObject({
    phase: 'done',
    final_output: 'The final output.',
    error: null,
    warnings: [],
    waiting_tasks: [],
  });
  expect(
    done.tasks.map(({ id, kind, agent, depends_on, status, attempts }) => ({
      id,
      kind,
      agent,
      depends_on,
      status,
      attempts,
    })),
  ).toEqual([
    { id: 'T1', kind: 'human', agent: null, depends_on: [], status: 'completed', attempts: 0 },
    { id: 'T2', kind: 'ai', agent: 'research', depends_on: ['T1'], status: 'completed', attempts: 1 },
    { id: 'T3', kind: 'ai', agent: 'writer', depends_on: ['T1', 'T2'], status: 'completed', attempts: 1 },
    { id: 'T4', kind: 'ai', agent: 'writer', depends_on: ['T1', 'T2', 'T3'], status: 'completed', attempts: 1 },
  ]);
  for (const call of [...story.model.callsFor('execute'), ...story.model.callsFor('finalize')])
    expect(call.prompt).toContain(readmeAnswer);
  expect(story.prompts('T4')[0]).toContain('Output of T3.');
});

test('tasks that do not need each other run at the same time, and none before those it needs', async () => {
  const { model } = story;
  const isOpen = (task_id: string) =>
    model.calls.some((call) => call.task_id === task_id && call.answered_at === undefined);
  const run = await story.start({
    plan: ['Research the market', 'Draft the pricing', 'Draft the launch', 'Write the plan'],
    dependencies: { T2: ['T1'], T3: ['T1'], T4: ['T2', 'T3'] },
    // Neither of the two is answered before both are asked.
    async execute({ task_id }) {
      if (task_id === 'T2') await model.until(() => isOpen('T3'));
      if (task_id === 'T3') await model.until(() => isOpen('T2'));
      return undefined;
    },
  });
  const done = await run.until('completed');

  expect(model.maxOpenCalls).toBe(2);
  for (const { id, depends_on } of done.tasks) {
    const started = model.callsFor('execute').find((call) => call.task_id === id)!.received_at;
    for (const before of depends_on) {
      expect(model.callsFor('evaluate').find((call) => call.task_id === before)!.answered_at).toBeLessThan(started);
    }
  }
});

test('a task reads the outputs of all tasks before it in the graph, and of no others', async () => {
  const run = await story.start({
    plan: ['Research the market', 'Analyse it', 'Write the report', 'Design the logo'],
    dependencies: { T2: ['T1'], T3: ['T2'], T4: [] },
  });
  await run.until('completed');

  const readBy = (prompt: string) => ['T1', 'T2', 'T3', 'T4'].filter((id) => prompt.includes(`Output of ${id}.`));
  expect(Object.fromEntries(['T1', 'T2', 'T3', 'T4'].map((id) => [id, readBy(story.prompts(id)[0]!)]))).toEqual({
    T1: [],
    T2: ['T1'],
    T3: ['T1', 'T2'],
    T4: [],
  });
  expect(readBy(story.model.callsFor('finalize')[0]!.prompt)).toEqual(['T1', 'T2', 'T3', 'T4']);
});

test('agents speak with the prompt of their template, with their own, or as an expert in what their name says', async () => {
  const plan = [
    { title: 'Gather facts', agent: 'research' },
    { title: 'Draft it', agent: 'WRITER' },
    { title: 'Check the law', agent: 'lawyer' },
  ];
  const agents = [{ name: 'Research' }, { name: 'writer', system_prompt: 'You write haiku only.' }, { name: 'lawyer' }];
  const run = await story.start({ plan }, { agents });
  const done = await run.until('completed');

  expect(done.tasks.map((task) => task.agent)).toEqual(['Research', 'writer', 'lawyer']);
  const systemOf = (id: string) => story.model.callsFor('execute').find((call) => call.task_id === id)!.system;
  expect(systemOf('T1')).toContain(findTemplate('research')!.system_prompt);
  expect(systemOf('T2')).toContain('You write haiku only.');
  expect(systemOf('T2')).not.toContain(findTemplate('writer')!.system_prompt);
  expect(systemOf('T3')).toContain('You are an expert lawyer.');
});

test('without agents the built-in ones do the work, each what its name says', async () => {
  const run = await story.start({ plan: ['Research the rivals', 'Coding the prototype', 'Edit the text'] });
  const done = await run.until('completed');
  expect(done.tasks.map((task) => task.agent)).toEqual(['research', 'coding', 'editor']);
  expect(done.agents.map((agent) => agent.name)).toEqual(['research', 'coding', 'writer', 'analyst', 'editor']);
});

test("the run's usage is the sum of its model calls, in all and by task", async () => {
  const run = await story.start({}, { agents: [{ name: 'writer', model: 'gpt-4o' }] });
  const done = await run.until('completed');
  const { calls } = story.model;
  expect(calls.map(({ purpose }) => purpose).sort()).toEqual(
    ['split', 'infer', 'execute', 'execute', 'execute', 'evaluate', 'evaluate', 'evaluate', 'finalize'].sort(),
  );
  const tokens = calls.reduce((sum, { system, prompt }) => sum + Math.ceil((system + prompt).length / 4), 0);
  expect(done.usage).toMatchObject({ llm_calls: 9, input_tokens: tokens });
  expect(done.tasks.map((task) => task.usage.llm_calls)).toEqual([2, 2, 2]);
  const ofTasks = done.tasks.reduce((sum, task) => sum + task.usage.cost_usd, 0);
  expect(ofTasks).toBeGreaterThan(0);
  expect(done.usage.cost_usd).toBeGreaterThan(ofTasks);
});

test('a model without a known price is a warning, not a free one', async () => {
  const run = await story.start({}, { agents: [{ name: 'writer', model: 'house-model-7b' }] });
  const done = await run.until('completed');
  expect(done.warnings).toEqual(['The price of house-model-7b is not known; its cost is not in cost_usd.']);
  expect(done.tasks[0]!.usage).toMatchObject({ llm_calls: 2, cost_usd: 0 });
});

test('with no provider configured, the demo model takes the example of the README to its end, and says what it is', async () => {
  const run = await story.user.startRun(readmeRun);
  await run.untilWaiting('T1');
  await run.complete('T1', { output: readmeAnswer });
  const done = await run.until('completed');

  expect(done.tasks.length).toBeGreaterThanOrEqual(4);
  expect(done.tasks.map((task) => task.status)).toEqual(done.tasks.map(() => 'completed'));
  for (const task of done.tasks.slice(1)) {
    expect(task.output).toContain('offline demo model');
    expect(task.evaluation!.feedback).toContain('offline demo model');
  }
  expect(done.final_output).toContain('offline demo model');
  expect(done.final_output).toContain(readmeAnswer);
  expect(done).toMatchObject({ warnings: [], usage: { cost_usd: 0 } });
});
