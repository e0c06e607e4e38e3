import { describe, expect, test } from 'vitest';
import type { ModelCall } from '../fakes/model.ts';
import type { Answer } from '../harness/orchflow.ts';
import { expectProblem } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';

/** Answers that come when nobody asked, too late, or all at once. */

const story = useStory();
const conflict = { status: 409, code: 'TASK_NOT_WAITING' };

describe('a task that does not wait takes no answer', () => {
  test('pending, running and completed tasks say what they are instead', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<string>();
    const run = await story.start({
      dependencies: { T2: ['T1'], T3: ['T2'] },
      execute: (call: ModelCall) => (call.task_id === 'T2' ? released : undefined),
    });
    await run.until(({ tasks }) => tasks[1]?.status === 'running');

    const expected = { T1: 'completed', T2: 'running', T3: 'pending' };
    for (const [task_id, task_status] of Object.entries(expected)) {
      const detail = `The task is ${task_status} and waits for nobody.`;
      expectProblem(await run.complete(task_id, { output: 'Mine.' }), { ...conflict, detail, task_status });
    }
    release('The output of the agent.');
    const done = await run.until('completed');
    expect(done.tasks.map(({ output }) => output)).toEqual([
      'Output of T1.',
      'The output of the agent.',
      'Output of T3.',
    ]);
  });

  test('an answered one shows the answer that stands, also when the run has ended', async () => {
    const run = await story.start({}, { ask_me_about: ['the budget'] });
    await run.untilWaiting('T1');
    const taken = await run.complete('T1', { output: 'Ten euros.' });
    await run.until('completed');
    expectProblem(await run.complete('T1', { output: 'Twenty euros.' }), {
      ...conflict,
      task_status: 'completed',
      answer: {
        gate_id: taken.body.gate_id,
        decision: 'approve',
        output: 'Ten euros.',
        answered_at: expect.any(String),
      },
    });
  });
});

test('an answer to an earlier pause of the task is refused, with the pause that is open now', async () => {
  const run = await story.start(
    { plan: ['Write the text', 'Check it', 'Print it'], dependencies: { T2: ['T1'], T3: ['T2'] } },
    { require_approval: true },
  );
  const first = (await run.untilWaiting('T1')).tasks[0]!.gate!.gate_id;
  await run.complete('T1', { decision: 'reject', output: 'Shorter.', gate_id: first });
  const second = (await run.untilWaiting('T1')).tasks[0]!.gate!.gate_id;
  expect(second).not.toBe(first);

  expectProblem(await run.complete('T1', { gate_id: first }), {
    ...conflict,
    detail: `The task waits for ${second} by now.`,
    task_status: 'waiting_human',
    gate_id: second,
  });
  expect((await run.get()).waiting_tasks).toEqual(['T1']);
  expect((await run.complete('T1', { gate_id: second })).body).toMatchObject({
    task_id: 'T1',
    gate_id: second,
    decision: 'approve',
  });
  await run.untilWaiting('T2');
  await run.cancel();
});

test.for([2, 10])(
  'of %i answers at once one is taken, the others are told which, and the run uses that one only',
  async (count) => {
    const run = await story.start({}, { ask_me_about: ['the budget'] });
    await run.untilWaiting('T1');
    const texts = Array.from({ length: count }, (_, index) => `The budget is ${index + 1}00 euros.`);
    const answers = await Promise.all(texts.map((output) => run.complete('T1', { output })));

    const winners = texts.filter((_, index) => answers[index]!.status === 200);
    expect(winners).toHaveLength(1);
    const losers = answers.filter(({ status }) => status !== 200);
    for (const loser of losers) expectConflict(loser, winners[0]!);

    const done = await run.until('completed');
    expect(done.tasks[0]).toMatchObject({ status: 'completed', output: winners[0] });
    const prompts = [...story.model.callsFor('execute'), ...story.model.callsFor('finalize')].map(
      ({ prompt }) => prompt,
    );
    expect(prompts.length).toBeGreaterThan(0);
    for (const prompt of prompts) {
      expect(prompt).toContain(winners[0]);
      for (const text of texts.filter((each) => each !== winners[0])) expect(prompt).not.toContain(text);
    }
  },
);

function expectConflict(answer: Answer, output: string) {
  expect(answer.body.answer).toMatchObject({ output, decision: 'approve' });
  expectProblem(answer, {
    ...conflict,
    answer: answer.body.answer,
    task_status: expect.stringMatching(/^(running|completed)$/),
  });
}
