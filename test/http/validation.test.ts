import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startOrchflow, type Orchflow, type TestRun, type User } from '../harness/orchflow.ts';
import { expectFault, expectNoProvider } from '../harness/problem.ts';
import { countRows } from '../harness/rows.ts';

/** What the API refuses, where it says the fault is, and that nothing of it is kept. */

let orchflow: Orchflow;
let user: User;
let run: TestRun;
let others_provider_id: string;

beforeAll(async () => {
  orchflow = await startOrchflow();
  user = await orchflow.register();
  const provider = { provider: 'openai', api_key: 'sk-canary' };
  others_provider_id = (await (await orchflow.register()).post('/providers', provider)).body.provider_id;
  run = await user.startRun({ task: 'Compare three note apps.', ask_me_about: ['the budget'] });
  await run.untilWaiting('T1');
});
afterAll(() => orchflow.stop());

/** Expects that the request is refused for this place, and that no table has a row more or less. */
async function expectRefused(pointer: string, method: 'get' | 'post', path: string, body?: unknown) {
  const before = await countRows(orchflow.db);
  expectFault(method === 'get' ? await user.get(path) : await user.post(path, body), pointer);
  expect(await countRows(orchflow.db)).toEqual(before);
}

const task = 'Compare three note apps.';
const long = (length: number) => 'x'.repeat(length);
const many = <T>(count: number, item: (index: number) => T) => Array.from({ length: count }, (_, index) => item(index));

type Case = [what: string, pointer: string, body: unknown];

describe('POST /runs names the field that is wrong', () => {
  test.for<Case>([
    ['no task', '/task', {}],
    ['an empty task', '/task', { task: '' }],
    ['a blank task', '/task', { task: ' \n\t ' }],
    ['a task that is no text', '/task', { task: 42 }],
    ['a task of 20,001 characters', '/task', { task: long(20_001) }],
    ['a NUL in the task', '/task', { task: 'a\u0000b' }],
    ['half a character in the task', '/task', { task: 'a\ud800b' }],
    ['an unknown field', '/taks', { task, taks: 'x' }],
    ['a field named __proto__', '/__proto__', JSON.parse(`{"task": "${task}", "__proto__": {"admin": true}}`)],
    ['fields that only we may set', '/status', { task, status: 'completed' }],
    ['21 agents', '/agents', { task, agents: many(21, (index) => ({ name: `a${index}` })) }],
    ['two agents of one name', '/agents', { task, agents: [{ name: 'Writer' }, { name: 'writer' }] }],
    ['agents that are names only', '/agents/0', { task, agents: ['research'] }],
    ['an agent without a name', '/agents/1/name', { task, agents: [{ name: 'a' }, { name: '' }] }],
    ['an unknown field of an agent', '/agents/0/skills', { task, agents: [{ name: 'a', skills: [] }] }],
    [
      'a system prompt of 20,001 characters',
      '/agents/0/system_prompt',
      { task, agents: [{ name: 'a', system_prompt: long(20_001) }] },
    ],
    ['half a character in an agent', '/agents/0/name', { task, agents: [{ name: '\udfff' }] }],
    ['21 human gates', '/human_gates', { task, human_gates: many(21, (index) => `gate ${index}`) }],
    ['an empty human gate', '/human_gates/1', { task, human_gates: ['a', ''] }],
    ['human gates that are no list', '/human_gates', { task, human_gates: 'approve' }],
    ['21 questions', '/ask_me_about', { task, ask_me_about: many(21, (index) => `question ${index}`) }],
    ['a NUL in a question', '/ask_me_about/0', { task, ask_me_about: ['\u0000'] }],
    ['require_approval as a text', '/require_approval', { task, require_approval: 'yes' }],
    ['a webhook_url that is no URL', '/webhook_url', { task, webhook_url: 'nonsense' }],
    ['a webhook_url of another protocol', '/webhook_url', { task, webhook_url: 'file:///etc/passwd' }],
    ['a NUL in the webhook_url', '/webhook_url', { task, webhook_url: 'https://example.com/\u0000' }],
    ['half a character in the webhook_url', '/webhook_url', { task, webhook_url: 'https://example.com/\ud800' }],
    ['a NUL in the provider_id', '/provider_id', { task, provider_id: '\u0000' }],
    ['a fallback given twice', '/fallback_provider_ids', { task, fallback_provider_ids: ['prv_a', 'prv_a'] }],
    ['six fallbacks', '/fallback_provider_ids', { task, fallback_provider_ids: many(6, (index) => `prv_${index}`) }],
    ['a cost limit of nothing', '/max_cost_usd', { task, max_cost_usd: 0 }],
    ['a cost limit as a text', '/max_cost_usd', { task, max_cost_usd: '0.50' }],
    ['half a token', '/max_tokens', { task, max_tokens: 0.5 }],
    ['another end of the budget', '/on_budget', { task, on_budget: 'warn' }],
    ['a provider_id that is no text', '/provider_id', { task, provider_id: 7 }],
    ['a list as the body', '', [task]],
    ['a text as the body', '', JSON.stringify(task)],
    ['null as the body', '', 'null'],
    ['broken JSON', '', '{"task": "a'],
    ['no JSON at all', '', ''],
  ])('%s', ([, pointer, body]) => expectRefused(pointer, 'post', '/runs', body));

  test("another account's provider is an unknown one", async () => {
    const answers = await Promise.all(
      [others_provider_id, 'prv_unknown'].map((provider_id) => user.post('/runs', { task, provider_id })),
    );
    for (const answer of answers) expectNoProvider(answer, '/provider_id');
  });

  test('all faults are named at once', async () => {
    const { status, body } = await user.post('/runs', { task: '', agents: [{ name: '' }], require_approval: 1 });
    expect(status).toBe(422);
    expect(body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
      '/task',
      '/agents/0/name',
      '/require_approval',
    ]);
    for (const { pointer } of body.errors) expect(body.detail).toContain(pointer.slice(1).replaceAll('/', '.'));
  });
});

describe('POST /tools/mcp names the field that is wrong', () => {
  test('a program, where the operator does not allow any', async () => {
    await expectRefused('/command', 'post', '/tools/mcp', { name: 'own', command: 'node' });
  });
});

describe('POST /providers names the field that is wrong', () => {
  test.for<Case>([
    ['no vendor', '/provider', { api_key: 'sk' }],
    ['an unknown vendor', '/provider', { provider: 'acme', api_key: 'sk' }],
    ['no key', '/api_key', { provider: 'openai' }],
    ['an empty key', '/api_key', { provider: 'openai', api_key: '' }],
    ['Ollama without an address', '/base_url', { provider: 'ollama' }],
    ['an address that is no URL', '/base_url', { provider: 'openai', api_key: 'sk', base_url: 'localhost:11434' }],
    ['a NUL in the address', '/base_url', { provider: 'openai', api_key: 'sk', base_url: 'http://a.example/\u0000' }],
    ['a NUL in the label', '/label', { provider: 'openai', api_key: 'sk', label: '\u0000' }],
    ['half a character in the key', '/api_key', { provider: 'openai', api_key: '\ud800' }],
    ['an unknown field', '/account_id', { provider: 'openai', api_key: 'sk', account_id: 'acc_1' }],
  ])('%s', ([, pointer, body]) => expectRefused(pointer, 'post', '/providers', body));
});

describe('POST /auth/register names the field that is wrong', () => {
  const name = 'Ada';
  test.for<Case>([
    ['no e-mail', '/email', { name }],
    ['a bad e-mail', '/email', { name, email: 'ada at example.com' }],
    ['two e-mails', '/email', { name, email: 'a@example.com, b@example.com' }],
    ['no name', '/name', { email: 'a@example.com' }],
    ['a blank name', '/name', { name: '  ', email: 'a@example.com' }],
    ['a NUL in the name', '/name', { name: '\u0000', email: 'a@example.com' }],
    ['an unknown field', '/is_admin', { name, email: 'a@example.com', is_admin: true }],
  ])('%s', ([, pointer, body]) => expectRefused(pointer, 'post', '/auth/register', body));
});

describe('an answer to a task names the field that is wrong, and the task goes on waiting', () => {
  test.for<Case>([
    ['no output', '/output', {}],
    ['a blank output', '/output', { output: ' ' }],
    ['an output that is no text', '/output', { output: { text: 'x' } }],
    ['an output of 100,001 characters', '/output', { output: long(100_001) }],
    ['a NUL in the output', '/output', { output: '\u0000' }],
    ['half a character in the output', '/output', { output: '\ud800' }],
    ['an unknown decision', '/decision', { output: 'x', decision: 'maybe' }],
    ['a decision that this gate does not take', '/decision', { output: 'x', decision: 'retry' }],
    ['an unknown field', '/answer', { output: 'x', answer: 'x' }],
  ])('%s', async ([, pointer, body]) => {
    await expectRefused(pointer, 'post', `/runs/${run.run_id}/tasks/T1/complete`, body);
    expect(await run.get()).toMatchObject({ status: 'waiting_human', waiting_tasks: ['T1'] });
  });
});

describe('queries name the parameter that is wrong', () => {
  const cursor = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  test.for<[what: string, pointer: string, query: string]>([
    ['limit 0', '/limit', 'limit=0'],
    ['limit 101', '/limit', 'limit=101'],
    ['a limit that is no number', '/limit', 'limit=ten'],
    ['half a limit', '/limit', 'limit=1.5'],
    ['an empty limit', '/limit', 'limit='],
    ['a limit in hex', '/limit', 'limit=0x10'],
    ['an unknown status', '/status', 'status=done'],
    ['a cursor of our own making', '/cursor', 'cursor=nonsense'],
    ['a cursor of another form', '/cursor', `cursor=${cursor({ run_id: 'run_1' })}`],
    ['a cursor before all time', '/cursor', `cursor=${cursor(['0000-01-01T00:00:00.000Z', 'run_1'])}`],
    ['a cursor that is too long', '/cursor', `cursor=${long(1_001)}`],
  ])('%s', ([, pointer, query]) => expectRefused(pointer, 'get', `/runs?${query}`));

  test('live is true or false', () => expectRefused('/live', 'get', `/runs/${run.run_id}?live=maybe`));
});
