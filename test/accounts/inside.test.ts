import dns from 'node:dns';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { startFakeWeb, type FakeWeb } from '../fakes/web.ts';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { scriptRun } from '../harness/script.ts';

/**
 * What is inside is the operator's. Their settings may name it and are called there, with nothing opened for accounts; and
 * no account is told where anything inside is.
 */

let orchflow: Orchflow;
let user: User;
let model: FakeModel;
let search: FakeWeb;
beforeAll(async () => {
  [model, search] = await Promise.all([
    startFakeModel(),
    startFakeWeb(() => ({ body: '{"results": [{"title": "Found it", "url": "https://example.com", "content": ""}]}' })),
  ]);
  orchflow = await startOrchflow({
    environment: {
      ORCHFLOW_ALLOWED_PRIVATE_CIDRS: '',
      OPENAI_API_KEY: 'sk-canary',
      OPENAI_BASE_URL: model.baseUrl('openai'),
      SEARXNG_URL: search.url,
    },
  });
  user = await orchflow.register();
});
afterAll(async () => {
  await orchflow.stop();
  await model.close();
  search.down();
});

const hasStopped = ({ status }: { status: string }) => ['waiting_human', 'failed'].includes(status);
/** What looks like an address of ours, in any text. */
const address = /127\.0\.0\.1|10\.9\.8\.7|localhost/;
const task = 'Compare three note apps.';

test("the operator's model and search engine are called inside, where nothing is open to accounts", async () => {
  scriptRun(model, {
    execute({ task_id, calls: [made] }) {
      if (task_id !== 'T1') return undefined;
      return made ? `Heard: ${made.result}` : { call: [{ name: 'web_search', arguments: { query: 'notes' } }] };
    },
  });
  const run = await user.startRun({ task, agents: [{ name: 'researcher', tools: ['web_search'] }] });
  const { tasks } = await run.until('completed');
  expect(tasks[0]!.output).toContain('Found it');
  for (const base_url of [model.baseUrl('openai'), search.url]) {
    const mine = await user.post('/providers', { provider: 'openai', api_key: 'sk-canary', base_url });
    const hook = await user.post('/runs', { task, webhook_url: base_url });
    const mcp = await user.post('/tools/mcp', { name: 'inside', url: base_url });
    expect([mine.status, hook.status, mcp.status]).toEqual([422, 422, 422]);
  }
});

describe('a failure of a model of the operator names no address', () => {
  test.each<[what: string, answer: object]>([
    ['an address in its words', { status: 400, body: { error: { message: 'dial tcp 10.9.8.7:8000: refused' } } }],
    ['its own address in its words', { status: 401, body: { error: { message: 'Not at MODEL/v1' } } }],
    ['nothing at its path', { status: 404, body: { error: { message: 'no' } } }],
    ['a redirect', { status: 302, headers: { location: 'http://10.9.8.7/admin' } }],
  ])('%s', async (_, answer) => {
    const own = new URL(model.baseUrl('openai')).origin;
    model.reset();
    model.on(() => JSON.parse(JSON.stringify(answer).replace('MODEL', own)));
    const run = await user.startRun({ task });
    await run.until(hasStopped);
    const said = await told(run.run_id);
    expect(said).toMatch(/OpenAI/);
    expect(said).not.toMatch(address);
    await run.cancel();
    model.reset();
  });
});

/** Everything that an account can read of a run. */
async function told(run_id: string): Promise<string> {
  const [run, tasks] = await Promise.all([user.get(`/runs/${run_id}`), user.get(`/runs/${run_id}/tasks`)]);
  const events = await orchflow.db.selectFrom('run_events').selectAll().where('run_id', '=', run_id).execute();
  const deliveries = await user.get(`/webhooks/deliveries?run_id=${run_id}`);
  return JSON.stringify([run.body, tasks.body, events, deliveries.body]);
}

describe('a name that leads inside', () => {
  const url = 'http://hooks.inside.test/x';
  const words = 'hooks.inside.test is not a public address.';
  beforeAll(() => {
    const lookup = dns.lookup;
    vi.spyOn(dns, 'lookup').mockImplementation(((name: string, options: object, callback: Function) => {
      if (name !== 'hooks.inside.test') return lookup(name, options as never, callback as never);
      callback(null, [{ address: '10.9.8.7', family: 4 }]);
    }) as never);
    model.reset();
    scriptRun(model, {});
  });
  afterAll(() => void vi.restoreAllMocks());

  test('of a webhook, is told in the log by that name alone', async () => {
    const run = await user.startRun({ task, webhook_url: url });
    await run.until('completed');
    await until(async () => (await told(run.run_id)).includes(words), 'the delivery fails');
    expect(await told(run.run_id)).not.toMatch(address);
  });

  test('of an MCP server, is told at registration', async () => {
    const { status, body } = await user.post('/tools/mcp', { name: 'inside', url });
    expect([status, body.errors[0].detail]).toEqual([422, expect.stringContaining(words)]);
    expect(JSON.stringify(body)).not.toMatch(address);
  });

  test('of a provider, is told in the run', async () => {
    const { body } = await user.post('/providers', { provider: 'openai', api_key: 'sk-canary', base_url: url });
    const run = await user.startRun({ task, provider_id: body.provider_id });
    await run.until(hasStopped);
    expect(await told(run.run_id)).toContain(words);
    expect(await told(run.run_id)).not.toMatch(address);
    await run.cancel();
  });
});
