import { expect, test } from 'vitest';
import { VENDORS } from '../fakes/ask.ts';
import type { ModelCall, Purpose, Reply } from '../fakes/model.ts';
import { useStory } from '../harness/story.ts';

/** Answers that were cut off, by their own length or by the thoughts before them. */

const story = useStory();

const cut: Reply = { finish: 'length', text: '' };

/** A model that thinks so many tokens long before it says a word. */
const thinks =
  (tokens: number, reply?: Reply) =>
  ({ max_output_tokens }: ModelCall) =>
    max_output_tokens! > tokens ? reply : cut;

const tokensOf = (purpose: Purpose, id?: string) =>
  story.model
    .callsFor(purpose)
    .filter(({ task_id }) => id === undefined || task_id === id)
    .map(({ max_output_tokens }) => max_output_tokens);

test.each(VENDORS)('%s: an evaluation that thoughts cut off is asked for again with more tokens', async (vendor) => {
  const provider_id = await story.user.addProvider(story.model, vendor);
  let verdicts = 0;
  const failed = { passed: false, score: 0.1, feedback: 'Off the subject.' };
  const evaluate = (call: ModelCall) =>
    thinks(1_500, call.task_id === 'T1' && (verdicts += 1) === 2 ? failed : undefined)(call);
  const execute = ({ task_id }: ModelCall) => `Draft ${story.prompts(task_id!).length} of ${task_id}.`;
  const run = await story.start({ evaluate, execute, dependencies: { T2: ['T1'], T3: ['T1'] } }, { provider_id });
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ attempts: 2, evaluation: { passed: true, score: 0.9 } });
  expect(done.warnings).toEqual([]);
  // The second attempt knows from the first that the model thinks.
  expect(tokensOf('evaluate', 'T1')).toEqual([1_024, 8_192, 8_192]);
  const prompts = story.model.callsFor('evaluate').map(({ prompt }) => prompt);
  expect(new Set(prompts).size).toBe(prompts.length);
});

test('a sample before an answer that was cut off is none', async () => {
  const sample = '{"passed": true, "score": 0.9, "feedback": "…"}';
  const part: Reply = { finish: 'length', text: `${sample}\n{"passed": false, "score": 0.2, "feedback": "The dra` };
  const whole = { passed: false, score: 0.2, feedback: 'The draft is thin.' };
  const evaluate = ({ task_id, max_output_tokens }: ModelCall) =>
    task_id === 'T1' ? (max_output_tokens! > 1_024 ? whole : part) : undefined;
  const run = await story.start({ evaluate, execute: ({ task_id }) => `Draft of ${task_id}.` });
  const waiting = await run.untilWaiting('T1');
  expect(waiting.tasks[0]).toMatchObject({ attempts: 3, evaluation: whole, gate: { kind: 'escalation' } });
  await run.cancel();
});

test('a server that allows no more tokens is not asked the same twice', async () => {
  const refuse = (most: number): Reply => ({
    status: 400,
    body: { error: { message: `the valid range of max_tokens is [1, ${most}]` } },
  });
  const execute = ({ task_id, max_output_tokens }: ModelCall) =>
    task_id !== 'T1' ? undefined : max_output_tokens! > 8_192 ? refuse(8_192) : cut;
  const run = await story.start({ execute });
  const waiting = await run.untilWaiting('T1');
  expect(waiting.tasks[0]!.gate).toMatchObject({ kind: 'escalation' });
  expect(tokensOf('execute', 'T1')).toEqual([8_192, 16_384]);
  await run.cancel();
});

test('where more tokens do not fit from the beginning, what is usual is asked for', async () => {
  const tooLong: Reply = { status: 400, body: { error: { message: 'maximum context length is 8000 tokens' } } };
  let verdicts = 0;
  const evaluate = ({ max_output_tokens }: ModelCall) =>
    (verdicts += 1) === 1 ? 'no JSON' : max_output_tokens! > 1_024 ? tooLong : undefined;
  const run = await story.start({ evaluate, dependencies: { T2: ['T1'], T3: ['T2'] } });
  expect(await run.until('completed')).toMatchObject({ warnings: [] });
});

test('plans and graphs that thoughts cut off are asked for again with more tokens', async () => {
  const run = await story.start({ split: thinks(9_000), infer: thinks(9_000) });
  const done = await run.until('completed');
  expect(done).toMatchObject({ warnings: [], tasks: [{ title: 'Research the market' }, {}, {}] });
  expect(tokensOf('split')).toEqual([4_096, 8_192, 16_384]);
  expect(tokensOf('infer')).toEqual([2_048, 8_192, 16_384]);
});

test('where the model refuses so many tokens, it goes on as after answers that cannot be used', async () => {
  const refusal: Reply = { status: 400, body: { error: { message: '16384 is more than this model can write.' } } };
  const think = ({ max_output_tokens }: ModelCall) => (max_output_tokens! > 8_192 ? refusal : cut);
  const run = await story.start({ evaluate: (call) => (call.task_id === 'T1' ? think(call) : undefined) });
  const waiting = await run.untilWaiting('T1');
  expect(waiting.tasks[0]!.gate).toMatchObject({
    kind: 'escalation',
    reason: expect.stringContaining('could not be read'),
  });
  expect(tokensOf('evaluate', 'T1')).toEqual([1_024, 8_192, 16_384]);
  await run.complete('T1', { decision: 'approve' });
  await run.until('completed');
});

test.each(VENDORS)(
  '%s: a text that thoughts left no tokens for is asked for once more, with twice as many',
  async (vendor) => {
    const provider_id = await story.user.addProvider(story.model, vendor);
    const run = await story.start(
      { execute: (call) => thinks(9_000, `Output of ${call.task_id}.`)(call), finalize: thinks(9_000, 'The whole.') },
      { provider_id },
    );
    const done = await run.until('completed');
    expect(done).toMatchObject({ final_output: 'The whole.', warnings: [] });
    expect(done.tasks.map(({ output, attempts }) => [output, attempts])).toEqual([
      ['Output of T1.', 1],
      ['Output of T2.', 1],
      ['Output of T3.', 1],
    ]);
    for (const tokens of [tokensOf('execute', 'T1'), tokensOf('finalize')]) expect(tokens).toEqual([8_192, 16_384]);
    expect(done.usage.llm_calls).toBe(13);
  },
);

test('a model that only thinks is paid for twice, and then a person helps', async () => {
  const run = await story.start({
    execute: ({ task_id }) => (task_id === 'T1' ? cut : undefined),
    finalize: () => cut,
  });
  const reason = expect.stringContaining('used all tokens that an answer may have for its thoughts');
  const waiting = await run.untilWaiting('T1');
  expect(waiting.tasks[0]!.gate).toMatchObject({ kind: 'escalation', reason });
  await run.complete('T1', { output: 'Mine.' });
  const ending = await run.until(({ tasks }) => tasks.at(-1)!.gate?.status === 'open');
  expect(ending.tasks.at(-1)).toMatchObject({ title: 'Final output', gate: { kind: 'escalation', reason } });
  await run.complete(ending.tasks.at(-1)!.id, { output: 'The whole.' });
  expect(await run.until('completed')).toMatchObject({ final_output: 'The whole.' });
  expect(story.model.callsFor('finalize')).toHaveLength(2);
});

test('an agent with tools that thought too long in one turn goes on with what it heard', async () => {
  const code = { call: [{ name: 'run_javascript', arguments: { code: '6 * 7' } }] };
  const execute = (call: ModelCall) => {
    if (call.task_id !== 'T1') return undefined;
    return thinks(9_000, call.calls.length < 2 ? code : call.calls.map(({ result }) => result).join(' and '))(call);
  };
  const run = await story.start({ execute }, { agents: [{ name: 'a', tools: [{ name: 'run_javascript' }] }] });
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ attempts: 1, output: '42 and 42' });
  expect(tokensOf('execute', 'T1')).toEqual([8_192, 16_384, 8_192, 16_384, 8_192, 16_384]);
});
