import { expect, test } from 'vitest';
import { useStory } from '../harness/story.ts';

/** Pauses for people: context, human tasks and approvals. */

const story = useStory();

test('planned tasks that human gates name are done by people, who see the outputs before them', async () => {
  const run = await story.start(
    {
      plan: ['Research 5 competitors', 'Extract pricing', 'Compare positioning', 'Propose our launch strategy'],
      dependencies: { T2: ['T1'], T3: ['T1'], T4: ['T2', 'T3'] },
    },
    { human_gates: ['pricing', 'launch strategy'] },
  );

  let waiting = await run.untilWaiting('T2');
  expect(waiting.tasks.map((task) => task.kind)).toEqual(['ai', 'human', 'ai', 'human']);
  expect(waiting.tasks[1]).toMatchObject({
    agent: null,
    depends_on: ['T1'],
    gate: { kind: 'human_task', decisions: ['approve', 'edit', 'reject'] },
  });
  expect(waiting.tasks[0]).toMatchObject({ status: 'completed', output: 'Output of T1.' });
  await run.complete('T2', { output: 'Everybody charges nine dollars.' });

  waiting = await run.untilWaiting('T4');
  expect(waiting.tasks.slice(0, 3).map((task) => task.output)).toEqual([
    'Output of T1.',
    'Everybody charges nine dollars.',
    'Output of T3.',
  ]);
  await run.complete('T4', { output: 'Start at seven.' });

  const done = await run.until('completed');
  expect(done.tasks.map((task) => task.gate?.status)).toEqual([undefined, 'answered', undefined, 'answered']);
  expect(new Set(story.model.callsFor('execute').map((call) => call.task_id))).toEqual(new Set(['T1', 'T3']));
  const [final] = story.model.callsFor('finalize');
  for (const answer of ['Everybody charges nine dollars.', 'Start at seven.']) expect(final!.prompt).toContain(answer);
});

test('the answer to a human task is context for the tasks after it', async () => {
  const run = await story.start(
    { plan: ['Get legal approval', 'Write the terms', 'Research rivals'], dependencies: { T2: ['T1'] } },
    { human_gates: ['approve'] },
  );
  await run.untilWaiting('T1');
  await run.complete('T1', { output: 'Only without the word "best".' });
  await run.until('completed');
  expect(story.prompts('T2')[0]).toContain('Only without the word "best".');
  expect(story.prompts('T3')[0]).not.toContain('Only without the word "best".');
});

test('a gate that no planned task answers to fires all the same, when all else is done', async () => {
  const run = await story.start({}, { human_gates: ['approve'] });
  const waiting = await run.until('waiting_human');
  expect(waiting.tasks.map((task) => [task.id, task.title, task.status])).toEqual([
    ['T1', 'Research the market', 'completed'],
    ['T2', 'Analyse the findings', 'completed'],
    ['T3', 'Write the report', 'completed'],
    ['T4', 'approve', 'waiting_human'],
  ]);
  expect(waiting.tasks[3]!.depends_on).toEqual(['T1', 'T2', 'T3']);
  expect(story.model.callsFor('finalize')).toEqual([]);

  await run.complete('T4', { output: 'Approved, but mention the price.' });
  await run.until('completed');
  expect(story.model.callsFor('finalize')[0]!.prompt).toContain('Approved, but mention the price.');
});

test('the run waits as long as any of its tasks does, while others go on', async () => {
  const run = await story.start(
    { plan: ['Sign the contract', 'Research rivals', 'Hire a designer'], dependencies: {} },
    { human_gates: ['contract', 'designer'] },
  );
  await run.until((view) => view.waiting_tasks.length === 2 && view.tasks[1]!.status === 'completed');
  await run.complete('T3', { output: 'Hired.' });
  const waiting = await run.until((view) => view.tasks[2]!.status === 'completed');
  expect(waiting).toMatchObject({ status: 'waiting_human', waiting_tasks: ['T1'] });
  await run.complete('T1', { output: 'Signed.' });
  await run.until('completed');
});

test('a person cannot answer a human task with nothing, and it goes on waiting', async () => {
  const run = await story.start({}, { ask_me_about: ['budget'] });
  await run.untilWaiting('T1');
  expect(await run.complete('T1', {})).toMatchObject({ status: 422, body: { errors: [{ pointer: '/output' }] } });
  expect(await run.complete('T1', { output: ' \n' })).toMatchObject({ status: 422 });
  expect(await run.complete('T1', { output: 'x', decision: 'reject' })).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: '/decision' }] },
  });
  expect(await run.get()).toMatchObject({ status: 'waiting_human', waiting_tasks: ['T1'] });
  await run.complete('T1', { output: 'Ten dollars.' });
  await run.until('completed');
});

const oneByOne = {
  plan: ['Research the market', 'Analyse the findings', 'Write the report'],
  dependencies: { T2: ['T1'], T3: ['T2'] },
};

test('require_approval: approve keeps the draft, edit replaces it, reject has it redone with the feedback', async () => {
  const run = await story.start(
    {
      ...oneByOne,
      execute: ({ task_id, prompt }) => `Draft of ${task_id}, ${prompt.includes('<feedback>') ? 'redone' : 'first'}.`,
    },
    { require_approval: true },
  );

  const waiting = await run.untilWaiting('T1');
  expect(waiting.tasks[0]).toMatchObject({
    output: 'Draft of T1, first.',
    evaluation: { passed: true },
    gate: { kind: 'approval', reason: null, decisions: ['approve', 'edit', 'reject'] },
  });
  await run.complete('T1', { output: 'Looks good to me.' });

  await run.untilWaiting('T2');
  await run.complete('T2', { decision: 'edit', output: 'My own analysis.' });

  const first = (await run.untilWaiting('T3')).tasks[2]!.gate!;
  await run.complete('T3', { decision: 'reject', output: 'Shorter, please.' });
  const again = await run.until(
    (view) => view.tasks[2]!.gate?.status === 'open' && view.tasks[2]!.gate.gate_id !== first.gate_id,
  );
  expect(again.tasks[2]).toMatchObject({ attempts: 2, output: 'Draft of T3, redone.', gate: { kind: 'approval' } });
  await run.complete('T3', {});

  const done = await run.until('completed');
  expect(done.tasks.map((task) => [task.output, task.gate!.decision])).toEqual([
    ['Draft of T1, first.', 'approve'],
    ['My own analysis.', 'edit'],
    ['Draft of T3, redone.', 'approve'],
  ]);
  expect(story.prompts('T2')[0]).toContain('Draft of T1, first.');
  expect(story.prompts('T3')[0]).toContain('My own analysis.');
  expect(story.prompts('T3')[0]).not.toContain('<draft>');
  expect(story.prompts('T3')[1]).toContain('<draft>\nDraft of T3, first.\n</draft>');
  expect(story.prompts('T3')[1]).toContain('<feedback>\nShorter, please.\n</feedback>');
});

test('a person may reject as often as they like; each time the newest draft and feedback are used', async () => {
  const run = await story.start(
    { execute: ({ task_id }) => `Draft ${story.prompts(task_id!).length} of ${task_id}.` },
    { require_approval: true },
  );
  await run.until((view) => view.waiting_tasks.length === 3);
  for (const id of ['T2', 'T3']) await run.complete(id, {});
  for (const [index, feedback] of ['Too long.', 'Too short.', 'Too plain.', 'Too loud.'].entries()) {
    await run.complete('T1', { decision: 'reject', output: feedback });
    await run.until((view) => view.waiting_tasks.includes('T1') && view.tasks[0]!.attempts === index + 2);
  }
  await run.complete('T1', {});
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ attempts: 5, output: 'Draft 5 of T1.' });
  const last = story.prompts('T1').at(-1)!;
  expect(last).toContain('Draft 4 of T1.');
  expect(last).toContain('Too loud.');
  expect(last).not.toContain('Too plain.');
});

test('a rejection needs words, an approval gate takes no retry', async () => {
  const run = await story.start({}, { require_approval: true });
  await run.untilWaiting('T1');
  expect(await run.complete('T1', { decision: 'reject' })).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: '/output' }] },
  });
  expect(await run.complete('T1', { decision: 'edit', output: '' })).toMatchObject({ status: 422 });
  expect(await run.complete('T1', { decision: 'retry' })).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: '/decision' }] },
  });
  expect((await run.get()).waiting_tasks).toContain('T1');
  await run.cancel();
});

test('of two answers at once one stands, and the other is told which', async () => {
  const run = await story.start({}, { ask_me_about: ['budget'] });
  await run.untilWaiting('T1');
  const answers = await Promise.all(['Ten.', 'Twenty.'].map((output) => run.complete('T1', { output })));
  expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200, 409]));
  const done = await run.until('completed');
  const lost = answers.find((answer) => answer.status === 409)!;
  expect(lost.body.answer).toMatchObject({ output: done.tasks[0]!.output, decision: 'approve' });
  expect(await run.complete('T1', { output: 'Thirty.' })).toMatchObject({
    status: 409,
    body: { answer: { output: done.tasks[0]!.output } },
  });
});
