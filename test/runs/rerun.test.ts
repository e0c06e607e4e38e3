import { expect, test } from 'vitest';
import { expectNoProvider } from '../harness/problem.ts';
import { countRows } from '../harness/rows.ts';
import { useStory } from '../harness/story.ts';

/** `POST /runs/{id}/rerun`: a new run that does a task of another again, from the outputs before it. */

const story = useStory();
const oneByOne = { dependencies: { T2: ['T1'], T3: ['T2'] } };

test('a rerun does a task and all after it again, from the outputs before it; the source stays as it is', async () => {
  const { model, user } = story;
  const source = await story.start(
    {
      plan: ['Research rivals', 'Compare prices', 'Write the report', 'Draw a logo'],
      dependencies: { T3: ['T2'], T4: ['T3'] },
    },
    { ask_me_about: ['the brand'], max_tokens: 500_000 },
  );
  await source.untilWaiting('T1');
  await source.complete('T1', { output: 'Dry and friendly.' });
  const before = await source.until('completed');
  expect(before.tasks.map(({ title }) => title)).toEqual([
    'Give the missing context',
    'Research rivals',
    'Compare prices',
    'Write the report',
    'Draw a logo',
  ]);
  model.calls = [];

  const again = await user.post(`/runs/${source.run_id}/rerun`, { from_task: 'T3', edits: { T2: 'Two rivals only.' } });
  expect(again).toMatchObject({ status: 201, body: { status: 'pending' } });
  expect(again.headers.get('location')).toBe(`/api/v1/runs/${again.body.run_id}`);
  const run = user.openRun(again.body.run_id);
  const done = await run.until('completed');
  expect(done).toMatchObject({ forked_from: source.run_id, max_tokens: 500_000, usage: { llm_calls: 5 } });
  expect(
    done.tasks.map(({ id, output, attempts, depends_on, description }) => [
      id,
      output,
      attempts,
      depends_on,
      description,
    ]),
  ).toEqual(
    before.tasks.map(({ id, output, depends_on, description }) => [
      id,
      id === 'T2' ? 'Two rivals only.' : output,
      id === 'T3' || id === 'T4' ? 1 : 0,
      depends_on,
      description,
    ]),
  );
  expect(model.calls.map(({ purpose, task_id }) => [purpose, task_id].filter(Boolean).join(' '))).toEqual([
    'execute T3',
    'evaluate T3',
    'execute T4',
    'evaluate T4',
    'finalize',
  ]);
  for (const text of ['Dry and friendly.', 'Two rivals only.']) expect(model.calls[0]!.prompt).toContain(text);
  expect(model.calls[0]!.prompt).not.toContain(before.tasks[1]!.output);
  expect(model.calls.at(-1)!.prompt).toContain(before.tasks[4]!.output!);
  expect(await source.get()).toEqual(before);
});

test('people are asked again for what is done again, and a rerun can be run again', async () => {
  const { user } = story;
  const source = await story.start(oneByOne, { human_gates: ['report'], require_approval: true });
  for (const id of ['T1', 'T2']) {
    await source.untilWaiting(id);
    await source.complete(id, {});
  }
  await source.untilWaiting('T3');

  // The source still waits: what is completed of it stands.
  const first = user.openRun((await user.post(`/runs/${source.run_id}/rerun`, { from_task: 'T2' })).body.run_id);
  const waiting = await first.untilWaiting('T2');
  expect(waiting.tasks.map(({ status, gate }) => [status, gate?.kind])).toEqual([
    ['completed', undefined],
    ['waiting_human', 'approval'],
    ['pending', undefined],
  ]);
  await first.complete('T2', {});
  expect((await first.untilWaiting('T3')).tasks[2]!.gate!.kind).toBe('human_task');

  const second = user.openRun((await user.post(`/runs/${first.run_id}/rerun`, { from_task: 'T3' })).body.run_id);
  await second.untilWaiting('T3');
  await second.complete('T3', { output: 'By hand.' });
  const done = await second.until('completed');
  expect(done.tasks.map(({ output }) => output)).toEqual(['Output of T1.', 'Output of T2.', 'By hand.']);
  for (const run of [source, first]) {
    expect((await run.get()).waiting_tasks).toEqual(['T3']);
    await run.cancel();
  }
});

test('what cannot be run again is refused by name, and nothing is kept', async () => {
  const { user, orchflow } = story;
  const source = await story.start(oneByOne, { human_gates: ['analyse'] });
  await source.untilWaiting('T2');
  const path = `/runs/${source.run_id}/rerun`;
  const before = await countRows(orchflow.db);
  for (const [body, pointer] of [
    [{ from_task: 'T9' }, '/from_task'],
    [{}, '/from_task'],
    [{ from_task: 'T2', edits: { T2: 'x' } }, '/edits/T2'],
    [{ from_task: 'T2', edits: { T3: 'x' } }, '/edits/T3'],
    [{ from_task: 'T2', edits: { T9: 'x' } }, '/edits/T9'],
    [{ from_task: 'T2', edits: { T1: '' } }, '/edits/T1'],
    [{ from_task: 'T2', edits: { T1: 1 } }, '/edits/T1'],
    [{ from_task: 'T2', edits: { T1: ['x'] } }, '/edits/T1'],
  ] as const) {
    expect(await user.post(path, body)).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
  }
  expectNoProvider(await user.post(path, { from_task: 'T2', provider_id: 'prv_unknown' }), '/provider_id');
  expect(await user.post(path, { from_task: 'T3' })).toMatchObject({ status: 409, body: { code: 'RUN_NOT_READY' } });
  expect(await user.post('/runs/run_unknown/rerun', { from_task: 'T1' })).toMatchObject({ status: 404 });
  expect(await countRows(orchflow.db)).toEqual(before);

  // The text of a person may stand where an output is missing.
  const given = { from_task: 'T3', edits: { T2: 'Given.' } };
  const run = user.openRun((await user.post(path, given)).body.run_id);
  expect((await run.until('completed')).tasks[1]).toMatchObject({
    status: 'completed',
    output: 'Given.',
    kind: 'human',
  });
  await source.cancel();
});

test('a model that nobody serves any more is told of the request, which names no agents', async () => {
  const { user, model } = story;
  const other = await user.addProvider(model, 'anthropic');
  const source = await story.start(oneByOne, {
    human_gates: ['analyse'],
    agents: [{ name: 'writer', model: 'claude-own' }],
  });
  await source.untilWaiting('T2');
  await user.delete(`/providers/${other}`);
  const refused = await user.post(`/runs/${source.run_id}/rerun`, { from_task: 'T1' });
  expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: '/from_task' }] } });
  expect(refused.body.errors[0].detail).toContain('claude-own');
  await source.cancel();
});

test('what has no plan to do again says why', async () => {
  const { user } = story;
  const rerun = ({ run_id }: { run_id: string }) => user.post(`/runs/${run_id}/rerun`, { from_task: 'T1' });
  const unplanned = await story.start({ split: () => ({ hang: 'before_headers' }) });
  await story.model.until(() => story.model.calls.length === 1, 'the plan');
  expect(await rerun(unplanned)).toMatchObject({ status: 409, body: { detail: 'The run has no plan yet.' } });
  await unplanned.cancel();
  const detail = 'The run has ended without a plan. Start a new one.';
  expect(await rerun(unplanned)).toMatchObject({ status: 409, body: { code: 'RUN_NOT_READY', detail } });
});
