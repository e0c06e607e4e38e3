import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ask, localFetch } from '../fakes/ask.ts';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';

let fake: FakeModel;
const { fetch, close } = localFetch();
beforeAll(async () => {
  fake = await startFakeModel();
});
afterEach(() => fake.reset());
afterAll(async () => {
  await close();
  await fake.close();
});

test('a call that nothing answers fails, and is listed', async () => {
  await expect(ask(fake, 'openai', { fetch, prompt: 'Who am I?' })).rejects.toMatchObject({ type: 'LlmUnavailable' });
  expect(() => fake.assertNothingUnscripted()).toThrow('execute to openai a-model: Who am I?');
  fake.reset();
  fake.assertNothingUnscripted();
});

test('a handler that throws is listed too', async () => {
  fake.on(() => {
    throw new Error('a fault in the test');
  });
  await ask(fake, 'gemini', { fetch }).catch(() => undefined);
  expect(() => fake.assertNothingUnscripted()).toThrow('a fault in the test');
});

test('the latest handler that returns something answers', async () => {
  fake.on(() => 'first').on(({ prompt }) => (prompt === 'special' ? 'second' : undefined));
  const answers = [await ask(fake, 'ollama', { fetch }), await ask(fake, 'ollama', { fetch, prompt: 'special' })];
  expect(answers.map(({ text }) => text)).toEqual(['first', 'second']);
});

test('a call knows its purpose, its task and its run', async () => {
  fake.on(() => 'ok');
  const systems = ['planner', 'dependency analyst', 'evaluator', 'editor'].map(
    (role) => `You are Orchflow's ${role}.\nMore.`,
  );
  const prompt =
    '<goal>\nGo [run:r7]\n<task id="T0" title="not this">\nx\n</task>\n</goal>\n\n<task id="T2" title="a > b">\nDo.\n</task>';
  for (const system of [...systems, 'You are a writer.']) await ask(fake, 'anthropic', { fetch, system, prompt });
  expect(fake.calls.map(({ purpose }) => purpose)).toEqual(['split', 'infer', 'evaluate', 'finalize', 'execute']);
  expect(fake.callsFor('execute')).toMatchObject([{ task_id: 'T2', run_marker: 'r7', client_closed: false }]);
});

test('it counts the calls in flight, and answers them when the handler does', async () => {
  const gate = Promise.withResolvers<string>();
  fake.on(() => gate.promise);
  const calls = ['openai', 'gemini', 'ollama'].map((vendor) => ask(fake, vendor as 'openai', { fetch }));
  await fake.until(() => fake.openCalls === 3);
  gate.resolve('at last');
  expect((await Promise.all(calls)).map(({ text }) => text)).toEqual(['at last', 'at last', 'at last']);
  await fake.until(() => fake.openCalls === 0);
  expect(fake.maxOpenCalls).toBe(3);
  for (const { received_at, answered_at } of fake.calls) expect(answered_at).toBeGreaterThanOrEqual(received_at);
});

test('latency is waited before an answer', async () => {
  fake.on(() => 'ok');
  fake.latency_ms = 50;
  const started = performance.now();
  await ask(fake, 'openai', { fetch });
  expect(performance.now() - started).toBeGreaterThanOrEqual(49);
});

test('waiting has a deadline and says what came instead', async () => {
  fake.on(() => 'ok');
  await ask(fake, 'openai', { fetch });
  await expect(fake.waitForCall(({ purpose }) => purpose === 'split', 20)).rejects.toThrow(
    /20 ms.*split[^]*execute to openai/,
  );
});

test('Ollama lists its models', async () => {
  const response = await fetch(`${fake.baseUrl('ollama')}/api/tags`);
  expect(await response.json()).toEqual({ models: [{ name: 'llama3', model: 'llama3' }] });
});
