import { beforeEach, describe, expect, test } from 'vitest';
import { decrypt, providerKeyContext } from '../../src/crypto.ts';
import { expectFault, expectNoProvider, expectProblem } from '../harness/problem.ts';
import { scriptRun } from '../harness/script.ts';
import { goal, useStory } from '../harness/story.ts';
import { until } from '../harness/orchflow.ts';

const story = useStory();
const key = 'sk-canary-that-nobody-may-read';

function findRow(provider_id: string) {
  return story.orchflow.db
    .selectFrom('providers')
    .selectAll()
    .where('provider_id', '=', provider_id)
    .executeTakeFirstOrThrow();
}

function setCiphertext(provider_id: string, api_key_encrypted: string | null) {
  return story.orchflow.db
    .updateTable('providers')
    .set({ api_key_encrypted })
    .where('provider_id', '=', provider_id)
    .execute();
}

describe('registering a provider', () => {
  test.for([
    ['gemini', 'gemini-2.0-flash-lite'],
    ['openai', 'gpt-4o-mini'],
    ['anthropic', 'claude-3-5-haiku-20241022'],
  ])('%s: its default model is %s', async ([provider, model]) => {
    const { status, body } = await story.user.post('/providers', { provider, api_key: key });
    expect(status).toBe(201);
    expect(body).toEqual({
      provider_id: expect.stringMatching(/^prv_[0-9a-z]{20}$/),
      provider,
      label: null,
      model,
      base_url: null,
      gateway: false,
      status: 'active',
      created_at: expect.any(String),
    });
  });

  test('ollama: its default model is llama3, and it needs no key', async () => {
    const ollama = { provider: 'ollama', base_url: 'http://localhost:11434' };
    const { status, body } = await story.user.post('/providers', ollama);
    expect({ status, body }).toMatchObject({ status: 201, body: { ...ollama, model: 'llama3' } });
  });

  test('label, model and base_url are kept', async () => {
    const given = {
      provider: 'openai',
      label: 'My server',
      model: 'mistral-7b',
      base_url: 'https://llm.example.com/v1',
    };
    const { body } = await story.user.post('/providers', { ...given, api_key: key });
    expect(body).toMatchObject(given);
    expect((await story.user.get('/providers')).body.providers[0]).toEqual(body);
  });
});

describe('a provider key', () => {
  test('that was pasted with its line break is kept without', async () => {
    const { body } = await story.user.post('/providers', { provider: 'openai', api_key: ` ${key}\r\n` });
    const { account_id, api_key_encrypted } = await findRow(body.provider_id);
    const secret = [Buffer.from(story.orchflow.env.ENCRYPTION_KEY!, 'base64')];
    expect(decrypt(api_key_encrypted!, secret, providerKeyContext(account_id, body.provider_id))).toBe(key);
  });

  test('is in no answer, and not in clear in the database', async () => {
    const created = await story.user.post('/providers', { provider: 'openai', api_key: key, label: 'mine' });
    const listed = await story.user.get('/providers');
    for (const { body } of [created, listed]) expect(JSON.stringify(body)).not.toContain(key);

    const row = await findRow(created.body.provider_id);
    expect(JSON.stringify(row)).not.toContain(key);
    for (const encoding of ['base64', 'base64url', 'hex'] as const) {
      expect(JSON.stringify(row)).not.toContain(Buffer.from(key).toString(encoding));
    }
    const secret = [Buffer.from(story.orchflow.env.ENCRYPTION_KEY!, 'base64')];
    expect(decrypt(row.api_key_encrypted!, secret, providerKeyContext(row.account_id, row.provider_id))).toBe(key);

    const deleted = await story.user.delete(`/providers/${row.provider_id}`);
    expect(JSON.stringify(deleted.body)).not.toContain(key);
    expect((await findRow(row.provider_id)).api_key_encrypted).toBeNull();
  });

  test('reaches the vendor, and neither the history in Temporal nor the events of the run', async () => {
    const provider_id = await story.user.addProvider(story.model, 'openai', { api_key: key });
    scriptRun(story.model);
    const run = await story.user.startRun({ task: goal, provider_id });
    await run.until('completed');
    expect(new Set(story.model.calls.map(({ api_key }) => api_key))).toEqual(new Set([key]));

    const { client, db } = story.orchflow;
    const history = await client.workflow.getHandle(run.run_id).fetchHistory();
    const told = historyText(history);
    expect(told.includes('has_webhook')).toBe(true);
    expect(told.includes(key)).toBe(false);
    const events = await db.selectFrom('run_events').selectAll().where('run_id', '=', run.run_id).execute();
    expect(JSON.stringify([events, await run.get()])).not.toContain(key);
  });

  test('copied to another row cannot be used: a person is asked, nothing leaks, and the mended run goes on', async () => {
    const stranger = await story.orchflow.register();
    const victims = await stranger.addProvider(story.model, 'openai', { api_key: key });
    const run = await story.start({}, { ask_me_about: ['the budget'] });
    await run.untilWaiting('T1');
    const { api_key_encrypted: own } = await findRow(story.provider_id);
    await setCiphertext(story.provider_id, (await findRow(victims)).api_key_encrypted);
    await run.complete('T1', { output: 'Ten euros.' });

    const escalated = await run.until(({ waiting_tasks }) => waiting_tasks.length === 3);
    expect(story.model.callsFor('execute')).toEqual([]);
    for (const { gate } of escalated.tasks.slice(1)) {
      expect(gate).toMatchObject({ kind: 'escalation', reason: expect.stringContaining(story.provider_id) });
    }
    expect(JSON.stringify(escalated)).not.toContain(key);

    await setCiphertext(story.provider_id, own);
    for (const task_id of escalated.waiting_tasks) {
      expect((await run.complete(task_id, { decision: 'retry' })).status).toBe(200);
    }
    await run.until('completed');
    expect(story.model.calls.map(({ api_key }) => api_key)).not.toContain(key);
  });
});

/** A history as text, its payloads decoded. */
function historyText(history: object): string {
  return JSON.stringify(history, (name, value: unknown) =>
    name === 'data' && typeof value === 'string' ? Buffer.from(value, 'base64').toString() : value,
  );
}

describe('a deactivated provider', () => {
  beforeEach(async () => {
    const { status, body } = await story.user.delete(`/providers/${story.provider_id}`);
    expect({ status, body }).toEqual({
      status: 200,
      body: { provider_id: story.provider_id, status: 'inactive', message: 'Provider deactivated.' },
    });
  });

  test('is gone from the list, and cannot be deactivated again', async () => {
    expect((await story.user.get('/providers')).body).toEqual({ providers: [] });
    expectProblem(await story.user.delete(`/providers/${story.provider_id}`), { status: 404, code: 'NOT_FOUND' });
  });

  test('takes no new run', async () => {
    expectNoProvider(await story.user.post('/runs', { task: goal, provider_id: story.provider_id }), '/provider_id');
  });

  test('serves no agent of a new run either', async () => {
    const provider_id = await story.user.addProvider(story.model, 'anthropic');
    const agents = [{ name: 'writer' }, { name: 'coding', model: 'gpt-4o' }];
    const refused = await story.user.post('/runs', { task: goal, provider_id, agents });
    expectFault(refused, '/agents/1/model');
    expect(refused.body.detail).toContain('Agent "coding" wants gpt-4o');
    expect(refused.body.detail).toContain('openai');
  });
});

describe('a provider in place of another', () => {
  test('takes its name over, and the other is deactivated', async () => {
    const { user, provider_id } = story;
    const created = await user.post('/providers', { provider: 'openai', api_key: key, replaces: provider_id });
    expect(created).toMatchObject({ status: 201, body: { replaces: provider_id, status: 'active' } });
    expect((await user.get('/providers')).body.providers).toEqual([created.body]);
  });

  test('is of its kind, and of its account', async () => {
    const stranger = await story.orchflow.register();
    const given = { provider: 'openai', api_key: key, replaces: story.provider_id };
    expectNoProvider(await stranger.post('/providers', given), '/replaces');
    expectFault(await story.user.post('/providers', { ...given, provider: 'gemini' }), '/replaces');
    const gateway = { provider: 'openai', api_key: key, base_url: 'https://gateway.example/v1', gateway: true };
    const { body } = await story.user.post('/providers', gateway);
    expectFault(await story.user.post('/providers', { ...given, replaces: body.provider_id }), '/gateway');
    expectNoProvider(await story.user.post('/providers', { ...given, replaces: 'prv_none' }), '/replaces');
    // Nothing was made, and nothing taken away.
    const { providers } = (await story.user.get('/providers')).body;
    const ids = new Set(providers.map((one: any) => one.provider_id));
    expect(ids).toEqual(new Set([body.provider_id, story.provider_id]));
  });
});

describe('a gateway', () => {
  const agents = [
    { name: 'writer' },
    { name: 'coding', model: 'claude-sonnet-4-5' },
    { name: 'editor', model: 'gemini-2.5-flash' },
  ];

  test('serves the models of all makers', async () => {
    const { model, user } = story;
    const provider_id = await user.addProvider(model, 'openai', { gateway: true, model: 'gpt-4o' });
    expect((await user.get('/providers')).body.providers[0]).toMatchObject({ provider_id, gateway: true });
    const plan = agents.map(({ name }) => ({ title: `Work of ${name}`, agent: name }));
    const run = await story.start({ plan }, { provider_id, agents });
    const done = await run.until('completed');
    const models = new Set(model.callsFor('execute').map((call) => `${call.vendor} ${call.model}`));
    expect(models).toEqual(new Set(['openai gpt-4o', 'openai claude-sonnet-4-5', 'openai gemini-2.5-flash']));
    expect(done.warnings).toEqual([]);
    expect(done.usage.cost_usd).toBeGreaterThan(0);
  });

  test('is told to be one, and where it is', async () => {
    expectFault(
      await story.user.post('/runs', { task: goal, provider_id: story.provider_id, agents: agents.slice(0, 2) }),
      '/agents/1/model',
    );
    expectFault(await story.user.post('/providers', { provider: 'openai', api_key: key, gateway: true }), '/base_url');
  });
});

test('the list shows the newest provider first', async () => {
  const labels = ['one', 'two', 'three'];
  for (const label of labels) {
    const { body } = await story.user.post('/providers', { provider: 'openai', api_key: key, label });
    await until(() => Date.now() > Date.parse(body.created_at), 'the next millisecond');
  }
  const { providers } = (await story.user.get('/providers')).body;
  expect(providers.map(({ label }: { label: string }) => label)).toEqual(['three', 'two', 'one', null]);
});
