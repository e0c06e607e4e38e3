import { expect, test } from 'vitest';
import { startFakeModel, type Reply } from '../fakes/model.ts';
import { inTurn, scriptRun } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';

/** Providers that refuse, for good or for a while. */

const story = useStory();
const key = 'canary-0123456789abcdef';

const refusals: [string, Reply, RegExp][] = [
  [
    'a bad key',
    { status: 401, body: { error: { message: `Incorrect API key provided: ${key}.` } } },
    /refused the API key \(HTTP 401\): Incorrect API key provided: \[redacted\]/,
  ],
  [
    'used-up credit',
    { status: 429, body: { error: { message: 'You exceeded your current quota.', code: 'insufficient_quota' } } },
    /the quota or the credit is used up \(HTTP 429\): You exceeded/,
  ],
  [
    'an unknown model',
    { status: 404, body: { error: { message: 'The model `gpt-0` does not exist.', code: 'model_not_found' } } },
    /does not know this model \(HTTP 404\): The model `gpt-0` does not exist/,
  ],
  ['a refusal of the model', { finish: 'refusal', text: 'I cannot help with that.' }, /refuse/],
  [
    'words that Postgres cannot store',
    { status: 400, body: { error: { message: 'Bad \u0000 request \ud83d' } } },
    /refused the request \(HTTP 400\): Bad request/,
  ],
  // One of these two is cut within a character.
  ['many words', { status: 400, body: { error: { message: '😀'.repeat(300) } } }, /refused the request .*😀/],
  [
    'many words and one',
    { status: 400, body: { error: { message: `x${'😀'.repeat(300)}` } } },
    /refused the request .*😀/,
  ],
];

test('a task was completed when it was, also when the next one is refused at once', async () => {
  const refusal: Reply = { status: 401, body: { error: { message: 'Incorrect API key provided.' } } };
  const run = await story.start({
    dependencies: { T2: ['T1'], T3: ['T1'] },
    execute: ({ task_id }) => (task_id === 'T2' ? refusal : undefined),
  });
  const { tasks } = await run.until((view) => view.waiting_tasks.includes('T2'));
  expect(tasks[0]!.completed_at! <= tasks[1]!.started_at!, `${tasks[0]!.completed_at} ${tasks[1]!.started_at}`).toBe(
    true,
  );
});

test.each(refusals)('%s while a task is done hands the task to a person, who may do it', async (_, reply, reason) => {
  const provider_id = await story.user.addProvider(story.model, 'openai', { api_key: key });
  const run = await story.start({ execute: ({ task_id }) => (task_id === 'T2' ? reply : undefined) }, { provider_id });
  const waiting = await run.until((view) => view.waiting_tasks.includes('T2') && view.tasks[2]!.status === 'completed');

  expect(waiting).toMatchObject({ status: 'waiting_human', error: null, waiting_tasks: ['T2'] });
  expect(waiting.tasks[1]).toMatchObject({
    attempts: 1,
    output: null,
    gate: { kind: 'escalation', reason: expect.stringMatching(reason) },
  });
  expect(waiting.tasks[1]!.error).toMatch(reason);
  expect(JSON.stringify(waiting)).not.toContain(key);
  expect(await run.complete('T2', {})).toMatchObject({ status: 422, body: { errors: [{ pointer: '/output' }] } });
  expect(await run.complete('T2', { decision: 'edit', output: 'I did it myself.' })).toMatchObject({ status: 200 });

  const done = await run.until('completed');
  expect(done.tasks[1]).toMatchObject({ status: 'completed', output: 'I did it myself.', error: null });
  expect(story.prompts('T2')).toHaveLength(1);
});

test('a retry after another provider was registered in place of the first completes the run', async () => {
  const { user, model, provider_id } = story;
  const other = scriptRun(await startFakeModel());
  const run = await story.start({ execute: () => ({ status: 401 }) });
  await run.until((view) => view.waiting_tasks.length === 3);

  await user.delete(`/providers/${provider_id}`);
  await run.complete('T1', { decision: 'retry' });
  const still = await run.until((view) => view.waiting_tasks.includes('T1') && view.tasks[0]!.attempts === 2);
  expect(still.tasks[0]!.gate!.reason).toContain(`${provider_id} is not active`);

  // Another of its vendor is not taken for it: nobody said so.
  await user.addProvider(model, 'openai', { api_key: 'sk-canary-another' });
  const between = await user.addProvider(other, 'openai', { api_key: 'sk-canary-between', replaces: provider_id });
  await user.addProvider(other, 'openai', { api_key: 'sk-canary-new', replaces: between });
  for (const id of ['T1', 'T2', 'T3']) await run.complete(id, { decision: 'retry' });
  const done = await run.until('completed');
  expect(done.tasks.map((task) => [task.output, task.attempts, task.error])).toEqual([
    ['Output of T1.', 3, null],
    ['Output of T2.', 2, null],
    ['Output of T3.', 2, null],
  ]);
  expect(model.callsFor('finalize')).toEqual([]);
  expect(other.calls.map((call) => call.api_key)).toEqual(Array(7).fill('sk-canary-new'));
  await other.close();
});

test('when the evaluation is refused, the draft is there to be taken', async () => {
  const run = await story.start({ evaluate: ({ task_id }) => (task_id === 'T1' ? { status: 403 } : undefined) });
  const waiting = await run.untilWaiting('T1');
  expect(waiting.tasks[0]).toMatchObject({ output: 'Output of T1.', evaluation: null, gate: { kind: 'escalation' } });
  await run.complete('T1', {});
  expect((await run.until('completed')).tasks[0]).toMatchObject({ output: 'Output of T1.', error: null });
});

test("a person's feedback survives a provider that refuses before it is answered", async () => {
  const answer = inTurn('A first draft.', { status: 401 }, 'A better one.');
  const run = await story.start(
    { execute: ({ task_id }) => (task_id === 'T1' ? answer() : undefined) },
    { require_approval: true },
  );
  await run.untilWaiting('T1');
  await run.complete('T1', { decision: 'reject', output: 'Add the prices.' });
  await run.until((view) => view.tasks[0]!.gate?.kind === 'escalation' && view.waiting_tasks.includes('T1'));
  await run.complete('T1', { decision: 'retry' });
  const again = await run.until((view) => view.tasks[0]!.attempts === 3 && view.waiting_tasks.includes('T1'));
  expect(again.tasks[0]).toMatchObject({ output: 'A better one.', gate: { kind: 'approval' } });
  for (const prompt of story.prompts('T1').slice(1)) {
    expect(prompt).toContain('A first draft.');
    expect(prompt).toContain('Add the prices.');
  }
  await run.cancel();
});

test.each(['split', 'infer'] as const)(
  'a provider that refuses to plan (%s) waits for a person, with the reason and without the key, and plans when it is mended',
  async (step) => {
    const provider_id = await story.user.addProvider(story.model, 'openai', { api_key: key });
    const run = await story.start({ [step]: inTurn(refusals[0]![1], refusals[0]![1]) }, { provider_id });
    const first = await run.untilWaiting('_planning');
    expect(first).toMatchObject({ status: 'waiting_human', error: null, waiting_tasks: ['_planning'] });
    const { gate, ...task } = first.tasks.at(-1)!;
    expect(task).toMatchObject({ id: '_planning', title: 'Planning', kind: 'human', depends_on: [] });
    expect(gate).toMatchObject({
      kind: 'escalation',
      decisions: ['retry'],
      reason: expect.stringMatching(refusals[0]![2]),
    });
    expect(JSON.stringify(first)).not.toContain(key);
    for (const answer of [{}, { decision: 'edit', output: 'A plan.' }, { decision: 'reject', output: 'No.' }]) {
      const refused = await run.complete('_planning', answer);
      expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: '/decision' }] } });
      expect(refused.body.detail).toContain('"retry"');
    }

    await run.complete('_planning', { decision: 'retry' });
    await run.until(
      (view) => view.tasks.at(-1)!.gate?.status === 'open' && view.tasks.at(-1)!.gate!.gate_id !== gate!.gate_id,
    );
    await run.complete('_planning', { decision: 'retry' });
    const done = await run.until('completed');
    expect(done.tasks.map(({ id, status }) => [id, status])).toEqual(
      ['T1', 'T2', 'T3', '_planning'].map((id) => [id, 'completed']),
    );
    expect(done.final_output).toBe('The final output.');
    expect(story.model.callsFor('split')).toHaveLength(step === 'split' ? 3 : 1);
  },
);

test('nobody answers while nothing is planned: the terms of the run decide', async () => {
  const { user } = story;
  const reply: Reply = { status: 401 };
  const rejected = await story.start({ split: () => reply }, { gate_due_in: '1s', on_timeout: 'reject' });
  expect((await rejected.until('failed')).error).toContain('Planning');
  const cancelled = await user.startRun({
    task: 'x',
    provider_id: story.provider_id,
    gate_due_in: '1s',
    on_timeout: 'cancel',
  });
  await cancelled.until('cancelled');
  const waiting = await user.startRun({ task: 'x', provider_id: story.provider_id });
  await waiting.untilWaiting('_planning');
  expect((await waiting.cancel()).status).toBe(200);
  expect((await waiting.until('cancelled')).tasks.map(({ status }) => status)).toEqual(['cancelled']);
});

test('when the final output is refused, a person may write it', async () => {
  const run = await story.start({ finalize: () => ({ status: 401 }) });
  const waiting = await run.untilWaiting('T4');
  expect(waiting).toMatchObject({ phase: 'finalize', final_output: null });
  expect(waiting.tasks[3]).toMatchObject({
    title: 'Final output',
    kind: 'human',
    depends_on: ['T1', 'T2', 'T3'],
    gate: { kind: 'escalation' },
  });
  expect(waiting.tasks[3]!.gate!.reason).toContain('refused the API key');
  expect(await run.complete('T4', {})).toMatchObject({ status: 422 });
  await run.complete('T4', { output: 'The result, by hand.' });
  const done = await run.until('completed');
  expect(done).toMatchObject({ final_output: 'The result, by hand.' });
  expect(done.tasks[3]).toMatchObject({ status: 'completed', output: 'The result, by hand.' });
});

test('when the final output is refused, a retry after mending the provider writes it', async () => {
  const run = await story.start({ finalize: inTurn({ status: 401 }, { status: 401 }) });
  const first = (await run.untilWaiting('T4')).tasks[3]!.gate!;
  await run.complete('T4', { decision: 'retry' });
  await run.until((view) => view.waiting_tasks.includes('T4') && view.tasks[3]!.gate!.gate_id !== first.gate_id);
  await run.complete('T4', { decision: 'retry' });
  const done = await run.until('completed');
  expect(done.final_output).toBe('The final output.');
  expect(done.tasks).toHaveLength(4);
  expect(done.tasks[3]).toMatchObject({ status: 'completed', output: 'The final output.' });
});

test('what a person wants of the final output is told to the model that writes it', async () => {
  const run = await story.start({ finalize: inTurn({ status: 401 }) });
  await run.untilWaiting('T4');
  await run.complete('T4', { decision: 'reject', output: 'One page at most.' });
  await run.until('completed');
  const [first, second] = story.model.callsFor('finalize');
  expect(first!.prompt).not.toContain('One page at most.');
  expect(second!.prompt).toContain('One page at most.');
});

test.each<[string, Reply]>([
  ['a rate limit (429 with Retry-After)', { status: 429, headers: { 'retry-after': '1' } }],
  ['a failure of the server (500)', { status: 500 }],
  ['an overload (503)', { status: 503 }],
  ['an answer that breaks off', { cut: true }],
])('%s is waited out, and no person is asked', async (_, reply) => {
  const next = inTurn(reply);
  const run = await story.start({ execute: ({ task_id }) => (task_id === 'T2' ? next() : undefined) });
  const done = await run.until('completed');
  expect(done.tasks[1]).toMatchObject({ output: 'Output of T2.', attempts: 1, error: null, gate: null });
  expect(story.prompts('T2')).toHaveLength(2);
  expect(done.usage.llm_calls).toBe(9);
});

test('an empty answer is told so and asked for once more, counted both times; after another one a person helps', async () => {
  const empty: Reply = { finish: 'stop', text: ' ' };
  const run = await story.start({
    split: inTurn(empty),
    execute: ({ task_id }) => (task_id === 'T1' ? empty : undefined),
    finalize: inTurn(empty, 'The whole.'),
  });
  const waiting = await run.untilWaiting('T1');
  expect(waiting.tasks[0]!.gate).toMatchObject({ kind: 'escalation', reason: expect.stringContaining('empty answer') });
  await run.complete('T1', { output: 'Mine.' });
  const done = await run.until('completed');
  expect(done.final_output).toBe('The whole.');
  expect(done.usage.llm_calls).toBe(story.model.calls.length);
  for (const purpose of ['split', 'execute', 'finalize'] as const) {
    const asked = story.model.callsFor(purpose).filter(({ task_id }) => !task_id || task_id === 'T1');
    expect(asked).toHaveLength(2);
    expect(asked[1]!.system).toContain('Your last answer cannot be used: it was empty.');
  }
});
