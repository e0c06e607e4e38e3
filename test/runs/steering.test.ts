import { expect, test } from 'vitest';
import { until } from '../harness/orchflow.ts';
import { runSteps } from '../harness/orchestration.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { dependencies, outputsOf, plan, statesOf, useSteering } from '../harness/steering.ts';

/** What people do to the tasks of a run that is under way. */

const story = useSteering();

test('a task is done again with feedback, and what builds on it; what stands beside it stays', async () => {
  const run = await story.startWaiting();
  const gate_id = (await run.task('T4')).gate!.gate_id;
  const { status, body } = await story.steer(run, 'T2', 'retry', {
    feedback: 'Name the rivals.',
    note: 'Anna wants it.',
  });
  expect(status, JSON.stringify(body)).toBe(200);
  expect(body).toEqual({
    run_id: run.run_id,
    task_id: 'T2',
    redone: ['T2', 'T4'],
    cancelled: [],
    message: 'Task T2 is done again.',
  });
  await run.untilWaiting('T2');
  expect((await run.complete('T4', { decision: 'approve', gate_id })).status).toBe(409);
  const done = await story.approveRest(run, 'T2', 'T4');
  expect(outputsOf(done)).toEqual(['T1, written 1.', 'T2, written 2.', 'T3, written 1.', 'T4, written 2.']);
  expect(story.prompts('T2')[1]).toContain('Name the rivals.');
  expect(story.prompts('T2')[1]).toContain('T2, written 1.');
  expect(story.prompts('T4')[1]).toContain('T2, written 2.');
  const [retried] = (await story.eventsOf(run)).filter(({ type }) => type === 'task.retried');
  expect(retried).toMatchObject({
    data: { task_id: 'T2', redone: ['T2', 'T4'], note: 'Anna wants it.', by: { kind: 'key' } },
    texts: { feedback: 'Name the rivals.' },
  });
  const completed = (await story.eventsOf(run)).filter(({ type }) => type === 'task.completed');
  // What stands beside it ends when it ends, once.
  const ended = completed.map(({ data }) => data.task_id);
  expect(ended.filter((id) => id !== 'T3')).toEqual(['T1', 'T2', 'T2', 'T4']);
  expect(ended.filter((id) => id === 'T3')).toHaveLength(1);
});

test('a human task is rejected back to a task before it', async () => {
  const run = await story.start(
    {
      plan: ['Research the market', 'Write the contract', 'Draw the logo', 'Legal approval'],
      dependencies: { T2: ['T1'], T3: [], T4: ['T2'] },
      execute: story.execute,
    },
    { human_gates: ['Legal approval'] },
  );
  await run.untilWaiting('T4');
  const sent = {
    decision: 'reject',
    output: 'Clause 4 is void.',
    send_back_to: 'T2',
    on_behalf_of: 'law@acme.example',
  };
  expect((await run.task('T4')).gate!.decisions).toEqual(['approve', 'edit', 'reject']);
  const alone = await run.complete('T4', { decision: 'reject', output: 'No.' });
  expectFault(alone, '/decision');
  expect(alone.body.errors[0].detail).toContain('send_back_to');
  expectFault(await run.complete('T4', { ...sent, send_back_to: 'T3' }), '/send_back_to');
  expectFault(await run.complete('T4', { ...sent, decision: 'approve' }), '/decision');
  expectFault(await run.complete('T4', { ...sent, output: ' ' }), '/output');
  const { status, body } = await run.complete('T4', sent);
  expect(status, JSON.stringify(body)).toBe(200);
  expect(body).toMatchObject({ task_id: 'T4', decision: 'reject', message: 'Task T4 answered. Done again: T2, T4.' });
  const again = await run.until(
    ({ tasks }) => tasks[3]!.gate?.gate_id !== body.gate_id && tasks[3]!.status === 'waiting_human',
  );
  expect(outputsOf(again)).toEqual(['T1, written 1.', 'T2, written 2.', 'T3, written 1.', null]);
  expect(story.prompts('T2')[1]).toContain('Clause 4 is void.');
  const { gates } = (await story.user.get(`/runs/${run.run_id}/tasks/T4/attempts`)).body;
  expect(gates).toMatchObject([
    { status: 'answered', decision: 'reject', answer: 'Clause 4 is void.', by: { on_behalf_of: 'law@acme.example' } },
    { status: 'open' },
  ]);
  await run.complete('T4', { output: 'Approved.' });
  await run.until('completed');
});

test("a person's answer is corrected while the run lives, and the old one stays in the audit", async () => {
  const run = await story.start(
    {
      plan,
      dependencies: { T3: ['T2'], T4: [] },
      execute: story.execute,
    },
    { ask_me_about: ['the budget'], require_approval: true },
  );
  await run.untilWaiting('T1');
  await run.complete('T1', { output: 'Ten euros.' });
  await run.untilWaiting('T2');
  await run.complete('T2', { decision: 'approve' });
  await run.untilWaiting('T3');
  const { status, body } = await story.steer(run, 'T1', 'correct', { output: 'Ten thousand euros.', note: 'A typo.' });
  expect(status, JSON.stringify(body)).toBe(200);
  expect(body.redone).toEqual(['T2', 'T3', 'T4', 'T5']);
  const done = await story.approveRest(run, 'T2', 'T3', 'T4', 'T5');
  expect(done.tasks[0]).toMatchObject({ status: 'completed', output: 'Ten thousand euros.' });
  for (const id of ['T2', 'T3', 'T4', 'T5']) expect(story.prompts(id).at(-1)).toContain('Ten thousand euros.');
  const told = (await story.eventsOf(run)).filter(({ data }) => data.task_id === 'T1');
  expect(told.map(({ type, texts }) => [type, texts.answer ?? texts.output])).toEqual([
    ['gate.opened', undefined],
    ['gate.answered', 'Ten euros.'],
    ['task.completed', 'Ten euros.'],
    ['task.corrected', 'Ten thousand euros.'],
    ['task.completed', 'Ten thousand euros.'],
  ]);
});

test('a task is skipped, with an output or without, while it runs or waits', async () => {
  const hanging = Promise.withResolvers<undefined>();
  const run = await story.start({
    plan,
    dependencies,
    execute: ({ task_id }) => (task_id === 'T1' ? hanging.promise : undefined),
  });
  await story.model.until(() => story.callsOf('T1') === 1);
  expect((await story.steer(run, 'T1', 'skip', { output: 'Known already.' })).body).toMatchObject({ redone: [] });
  await story.model.untilHungUp();
  hanging.resolve(undefined);
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ status: 'completed', output: 'Known already.', attempts: 1 });
  expect(story.prompts('T2')[0]).toContain('Known already.');

  const other = await story.startWaiting();
  await story.steer(other, 'T4', 'skip');
  const ended = await other.until('completed');
  expect(ended.tasks[3]).toMatchObject({ status: 'skipped', output: null, gate: { status: 'closed' } });
  expect(ended.final_output).toBe('The final output.');
  expectProblem(await story.steer(other, 'T4', 'skip'), { status: 409, code: 'RUN_FINISHED', run_status: 'completed' });
});

test('a task is cancelled with all that builds on it, and the final output is made of the others', async () => {
  const run = await story.startWaiting();
  expectProblem(await story.steer(run, 'T2', 'cancel'), {
    status: 409,
    code: 'TASK_NOT_READY',
    task_status: 'completed',
  });
  await story.steer(run, 'T2', 'retry');
  await run.untilWaiting('T2');
  const cancelled = await story.steer(run, 'T2', 'cancel', { note: 'Too dear.' });
  expect(cancelled.body).toMatchObject({ redone: [], cancelled: ['T2', 'T4'] });
  const done = await run.until('completed');
  expect(statesOf(done)).toEqual(['T1 completed', 'T2 cancelled', 'T3 completed', 'T4 cancelled']);
  const [finalize] = story.model.callsFor('finalize');
  expect(finalize!.prompt).toContain('T3, written 1.');
  expect(finalize!.prompt).not.toMatch(/T[24], written/);
});

test('what cannot be done is refused, with how the task is', async () => {
  const hanging = Promise.withResolvers<undefined>();
  const run = await story.start({
    plan,
    dependencies,
    split: () => hanging.promise,
    execute: ({ task_id }) => (task_id === 'T1' ? new Promise(() => {}) : undefined),
  });
  await run.until('running');
  expectProblem(await story.steer(run, 'T1', 'retry'), { status: 409, code: 'RUN_NOT_READY', run_status: 'running' });
  hanging.resolve(undefined);
  await story.model.until(() => story.callsOf('T1') === 1);
  await until(async () => (await run.task('T3')).status === 'completed', 'T3 is done');
  expectProblem(await story.steer(run, 'T4', 'retry'), { status: 409, code: 'TASK_NOT_READY', task_status: 'pending' });
  expectProblem(await story.steer(run, 'T1', 'correct', { output: 'x' }), {
    status: 409,
    code: 'TASK_NOT_READY',
    task_status: 'running',
  });
  expectProblem(await story.steer(run, 'T3', 'skip'), {
    status: 409,
    code: 'TASK_NOT_READY',
    task_status: 'completed',
  });
  expectProblem(await story.steer(run, 'T9', 'skip'), { status: 404, code: 'NOT_FOUND' });
  expectFault(await story.steer(run, 'T3', 'correct', { output: '' }), '/output');
  expectFault(await story.steer(run, 'T3', 'correct', {}), '/output');
  expectFault(await story.steer(run, 'T3', 'retry', { feedback: 'x', force: true }), '/force');
  const other = await story.orchflow.register();
  for (const action of ['retry', 'skip', 'cancel', 'correct']) {
    const path = `/runs/${run.run_id}/tasks/T3/${action}`;
    expectProblem(await other.post(path, { ...(action === 'correct' && { output: 'x' }) }), {
      status: 404,
      code: 'NOT_FOUND',
    });
  }
  await run.cancel();

  const paused = await runSteps(story.user, [{ id: 'ask', type: 'human', human_prompt: 'What?' }]);
  const of = story.user.openRun(paused.body.run_id);
  expectProblem(await story.steer(of, 'ask', 'skip'), {
    status: 409,
    code: 'RUN_NOT_OF_GOAL',
    run_status: 'waiting_human',
  });
});
