import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { countRows } from '../harness/rows.ts';

/** What could never be called, or sent, is refused where it is given, and not in runs. */

let orchflow: Orchflow;
let user: User;
beforeAll(async () => {
  orchflow = await startOrchflow({
    worker: false,
    environment: { ORCHFLOW_ALLOWED_PRIVATE_CIDRS: '10.1.0.0/16,::1/128' },
  });
  user = await orchflow.register();
});
afterAll(() => orchflow.stop());

const task = 'Compare three note apps.';
const key = { provider: 'openai', api_key: 'sk-canary' };
const escalates = { gate_due_in: '1h', on_timeout: 'escalate' };

/** Every place that takes an address. */
const places: [path: string, pointer: string, body: (url: string) => object][] = [
  ['/runs', '/webhook_url', (webhook_url) => ({ task, webhook_url })],
  ['/runs', '/escalation_webhook_url', (escalation_webhook_url) => ({ task, escalation_webhook_url, ...escalates })],
  [
    '/runs',
    '/human_gates/0/escalation_webhook_url',
    (escalation_webhook_url) => ({ task, human_gates: [{ name: 'legal', escalation_webhook_url, ...escalates }] }),
  ],
  ['/orchestrations/orch-research-report/run', '/webhook_url', (webhook_url) => ({ message: 'Go', webhook_url })],
  [
    '/orchestrations/orch-research-report/run/stream',
    '/webhook_url',
    (webhook_url) => ({ message: 'Go', webhook_url }),
  ],
  ['/providers', '/base_url', (base_url) => ({ ...key, base_url })],
  ['/tools/mcp', '/url', (url) => ({ name: 'mine', url })],
];

const isPrivate = expect.stringMatching(
  /^\S+ is not a public address\. The operator can allow it with ORCHFLOW_ALLOWED_PRIVATE_CIDRS\.$/,
);
const refused: [url: string, detail: string][] = [
  ['https://user:password@example.com/hook', 'must not carry a user name or password'],
  ['https://user@example.com/hook', 'must not carry a user name or password'],
  ['http:\\\\user:password@example.com/', 'must be an http(s) URL'],
  ['https://example.com/hook#part', 'must not have a fragment (#…)'],
  ['http://10.0.0.1', isPrivate],
  ['http://192.168.1.7:8080/hook', isPrivate],
  ['http://127.0.0.1', isPrivate],
  ['http://2130706433', isPrivate],
  ['http://0x7f.1', isPrivate],
  ['http://0.0.0.0', isPrivate],
  ['http://169.254.169.254/latest/meta-data', isPrivate],
  ['http://[fe80::1]', isPrivate],
  ['http://[::ffff:10.0.0.1]', isPrivate],
  ['http://[fd00::1]:8080', isPrivate],
];

describe.for(places)('an address at %s %s', ([path, pointer, body]) => {
  test.for(refused)('%s', async ([url, detail]) => {
    const before = await countRows(orchflow.db);
    const answer = await user.post(path, body(url));
    expect([answer.status, answer.body.errors]).toEqual([422, [{ pointer, detail }]]);
    expect(await countRows(orchflow.db)).toEqual(before);
  });
});

test('an address is taken that is public, that the operator allows, or that only its name server can tell', async () => {
  for (const host of [
    '93.184.216.34',
    '10.1.2.3',
    '[::1]',
    'localhost',
    'app.localhost',
    'hooks.internal',
    '[2606:4700::1111]',
  ]) {
    const answer = await user.post('/providers', { ...key, base_url: `https://${host}/v1` });
    expect(answer.status, JSON.stringify(answer.body)).toBe(201);
    const run = await user.post('/runs', { task, webhook_url: `https://${host}/v1` });
    expect(run.status, JSON.stringify(run.body)).toBe(201);
  }
});

test('localhost is private where the operator does not allow it', async () => {
  const strict = await startOrchflow({ worker: false, environment: { ORCHFLOW_ALLOWED_PRIVATE_CIDRS: '' } });
  const other = await strict.register();
  for (const host of ['localhost', 'LOCALHOST.', 'app.localhost']) {
    const { status, body } = await other.post('/providers', { ...key, base_url: `http://${host}:11434` });
    expect([status, body.errors]).toEqual([422, [{ pointer: '/base_url', detail: isPrivate }]]);
  }
  await strict.stop();
});

describe('what goes into a header', () => {
  const printable = 'must be printable ASCII, in one line';
  test.for<[what: string, path: string, body: object, pointer: string, detail: string]>([
    ['a key of two lines', '/providers', { ...key, api_key: 'sk-canary\nsk-canary' }, '/api_key', printable],
    ['a key with a tab', '/providers', { ...key, api_key: 'sk-\tcanary' }, '/api_key', printable],
    ['a key in other letters', '/providers', { ...key, api_key: 'sk-canarу' }, '/api_key', printable],
    ['a key that is a dash of a text editor', '/providers', { ...key, api_key: 'sk–canary' }, '/api_key', printable],
    ['a key of space', '/providers', { ...key, api_key: ' \n' }, '/api_key', 'must not be empty'],
    [
      'a header of two lines',
      '/tools/mcp',
      { name: 'a', url: 'https://x.example', headers: { A: 'b\r\nC: d' } },
      '/headers/A',
      printable,
    ],
  ])('%s is refused', async ([, path, body, pointer, detail]) => {
    const answer = await user.post(path, body);
    expect([answer.status, answer.body.errors]).toEqual([422, [{ pointer, detail }]]);
  });
});
