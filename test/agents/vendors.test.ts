import { expect, test } from 'vitest';
import { startFakeModel } from '../fakes/model.ts';
import { scriptRun } from '../harness/script.ts';
import { goal, useStory } from '../harness/story.ts';

/** Bring your own key: whose model is asked, by what name, and with which key. */

const story = useStory();

test.each([
  ['openai', 'gpt-4o-mini'],
  ['anthropic', 'claude-3-5-haiku-20241022'],
  ['gemini', 'gemini-2.0-flash-lite'],
  ['ollama', 'llama3'],
] as const)('%s runs a whole goal on its default model, with the key of the user', async (vendor, name) => {
  const { model, user } = story;
  const provider_id = await user.addProvider(model, vendor, { api_key: `key-of-${vendor}` });
  const run = await story.start({ dependencies: { T3: ['T1', 'T2'] } }, { provider_id });
  const done = await run.until('completed');

  expect(done).toMatchObject({ provider_id, final_output: 'The final output.', usage: { llm_calls: 9 }, warnings: [] });
  for (const call of model.calls) expect(call).toMatchObject({ vendor, model: name, api_key: `key-of-${vendor}` });
  for (const purpose of ['split', 'infer', 'evaluate'] as const) {
    for (const call of model.callsFor(purpose)) expect(call.json_schema, purpose).toMatchObject({ type: 'object' });
  }
  for (const purpose of ['execute', 'finalize'] as const) {
    for (const call of model.callsFor(purpose)) expect(call.json_schema, purpose).toBeUndefined();
  }
});

test('a provider with a model of its own is asked for that one', async () => {
  const provider_id = await story.user.addProvider(story.model, 'gemini', { model: 'gemini-3.1-flash-lite-preview' });
  const run = await story.start({}, { provider_id });
  await run.until('completed');
  expect([...new Set(story.model.calls.map((call) => call.model))]).toEqual(['gemini-3.1-flash-lite-preview']);
});

test("two vendors in one run: an agent's model of another vendor uses the newest active provider of that vendor", async () => {
  const { user, model } = story;
  const [older, newer, newest] = await Promise.all([startFakeModel(), startFakeModel(), startFakeModel()]);
  await user.addProvider(older, 'anthropic', { api_key: 'older' });
  await user.addProvider(newer, 'anthropic', { api_key: 'newer' });
  const inactive = await user.addProvider(newest, 'anthropic', { api_key: 'inactive' });
  await user.delete(`/providers/${inactive}`);
  scriptRun(newer);

  const run = await story.start(
    { plan: ['Research the market', 'Analyse it', 'Write the report'] },
    {
      agents: [
        { name: 'research', model: 'gpt-4o' },
        { name: 'analyst' },
        { name: 'writer', model: 'claude-sonnet-4-5' },
      ],
    },
  );
  const done = await run.until('completed');

  expect(done.tasks.map((task) => [task.agent, task.model])).toEqual([
    ['research', 'gpt-4o'],
    ['analyst', null],
    ['writer', 'claude-sonnet-4-5'],
  ]);
  expect(newer.calls.map((call) => [call.purpose, call.task_id, call.vendor, call.model, call.api_key])).toEqual([
    ['execute', 'T3', 'anthropic', 'claude-sonnet-4-5', 'newer'],
    ['evaluate', 'T3', 'anthropic', 'claude-sonnet-4-5', 'newer'],
  ]);
  const modelOf = (purpose: string, id?: string) =>
    model.calls.find((call) => call.purpose === purpose && call.task_id === id)!.model;
  expect([
    modelOf('split'),
    modelOf('infer'),
    modelOf('execute', 'T1'),
    modelOf('execute', 'T2'),
    modelOf('finalize'),
  ]).toEqual(['gpt-4o-mini', 'gpt-4o-mini', 'gpt-4o', 'gpt-4o-mini', 'gpt-4o-mini']);
  expect([...older.calls, ...newest.calls]).toEqual([]);
  await Promise.all([older, newer, newest].map((fake) => fake.close()));
});

test('a model of a vendor that the account has no provider of is refused, naming agent and model', async () => {
  const agents = [{ name: 'research' }, { name: 'poet', model: 'claude-opus-4-5' }];
  const refused = await story.user.post('/runs', { task: goal, provider_id: story.provider_id, agents });
  expect(refused).toMatchObject({
    status: 422,
    body: { code: 'VALIDATION_FAILED', errors: [{ pointer: '/agents/1/model' }] },
  });
  for (const word of ['"poet"', 'claude-opus-4-5', 'anthropic']) expect(refused.body.detail).toContain(word);
  expect((await story.user.get('/runs')).body.runs).toEqual([]);
});

test("another account's provider does not count", async () => {
  const other = await story.orchflow.register();
  await other.addProvider(story.model, 'anthropic');
  const agents = [{ name: 'poet', model: 'claude-opus-4-5' }];
  const refused = await story.user.post('/runs', { task: goal, provider_id: story.provider_id, agents });
  expect(refused.status).toBe(422);
});
