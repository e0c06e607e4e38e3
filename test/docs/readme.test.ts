import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startOrchflow, type Orchflow } from '../harness/orchflow.ts';
import { hasRequests } from '../harness/python.ts';

/** What the README shows, word for word, as someone pastes it; only the host is exchanged. */

const readme = readFileSync(path.join(import.meta.dirname, '../../README.md'), 'utf8');
const blocks = (language: string) =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\``, 'gm'))].map(([, code]) => code!);
const having = (language: string, words: string) => blocks(language).find((code) => code.includes(words))!;

let orchflow: Orchflow;
beforeAll(async () => {
  orchflow = await startOrchflow();
});
afterAll(() => orchflow.stop());

async function run(program: string, script: string, host = orchflow.url) {
  const ours = script.replaceAll('http://localhost:8000', host);
  const flag = program === 'python3' ? '-c' : '-ec';
  const running = promisify(execFile)(program, [flag, ours], { timeout: 120_000 });
  return running.then(
    ({ stdout }) => ({ ended: 'well', printed: stdout }),
    (error: Error & { stdout: string; stderr: string; killed: boolean }) => ({
      ended: error.killed ? 'never' : 'with an error',
      printed: error.stdout + error.stderr,
    }),
  );
}

const inCurl = () => `${having('sh', 'URL=')}\n${having('sh', 'orch-research-report')}`;
const inPython = () => having('python', 'import requests');

describe.each([
  ['curl', 'bash', inCurl, '"status":"completed"'],
  ['curl, in a plain shell', 'sh', inCurl, '"status":"completed"'],
  ['Python', 'python3', inPython, ''],
])('the run in %s', (_, program, script, last) => {
  const isHere = program !== 'python3' || hasRequests;

  test.skipIf(!isHere)('can be pasted twice', async () => {
    for (const time of ['first', 'second']) {
      const { ended, printed } = await run(program, script());
      expect(ended, `the ${time} time: ${printed}`).toBe('well');
      expect(printed).toContain('offline demo model');
      expect(printed.slice(printed.lastIndexOf('{'))).toContain(last);
    }
  });

  test.skipIf(!isHere)('ends with words when no run comes of it', async () => {
    const none = await run(program, script(), 'http://127.0.0.1:1');
    expect(none.ended).toBe('with an error');
    expect(none.printed).toMatch(/refused|connect/i);
    const refused = script().replace(/("name": )"Your Name"/, '$1""');
    const { ended, printed } = await run(program, refused);
    expect(ended).toBe('with an error');
    expect(printed).toMatch(/must not be empty|Missing or invalid API key/);
  });
});

test('a subscription is made as it stands', async () => {
  const { api_key } = await orchflow.register();
  const account = `URL=http://localhost:8000/api/v1\nKEY=${api_key}\n`;
  const { ended, printed } = await run('sh', account + having('sh', '/webhooks/subscriptions'));
  expect(ended, printed).toBe('well');
  expect(JSON.parse(printed)).toMatchObject({ subscription_id: expect.stringMatching(/^sub_/), status: 'active' });
});

test('a run begins later as it stands', async () => {
  const user = await orchflow.register();
  const account = `URL=http://localhost:8000/api/v1\nKEY=${user.api_key}\n`;
  const { ended, printed } = await run('sh', account + having('sh', 'start_in'));
  expect(ended, printed).toBe('well');
  const [later] = (await user.get('/runs?pending_for=start_at')).body.runs;
  expect(printed).toContain(`"run_id":"${later.run_id}","status":"pending"`);
  expect(Date.parse(later.start_at) - Date.now()).toBeLessThanOrEqual(60_000);
});

test('a file is kept as it stands', async () => {
  const { api_key } = await orchflow.register();
  const account = `URL=http://localhost:8000/api/v1\nKEY=${api_key}\n`;
  const { ended, printed } = await run('sh', account + having('sh', '/files'));
  expect(ended, printed).toBe('well');
  expect(JSON.parse(printed)).toMatchObject({ name: 'prices.csv', media_type: 'text/csv', size: 28 });
});

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const body = '{"run_id":"run_x","event":"completed"}';
const now = Math.floor(Date.now() / 1000);
const signature = (time = now) => new Webhook(secret).sign('msg_1', new Date(time * 1000), body);
const genuine = { 'webhook-id': 'msg_1', 'webhook-timestamp': String(now), 'webhook-signature': signature() };

const headers: [string, Record<string, string>, boolean][] = [
  ['its own', genuine, true],
  ['two signatures', { ...genuine, 'webhook-signature': `v1,older ${signature()}` }, true],
  ['none', {}, false],
  ['no signature', { ...genuine, 'webhook-signature': '' }, false],
  ['no time', { 'webhook-id': 'msg_1', 'webhook-signature': signature() }, false],
  ['a time that is no number', { ...genuine, 'webhook-timestamp': 'now' }, false],
  ['a time without end', { ...genuine, 'webhook-timestamp': '9'.repeat(5_000) }, false],
  [
    'an old time',
    { ...genuine, 'webhook-timestamp': String(now - 600), 'webhook-signature': signature(now - 600) },
    false,
  ],
  ['another id', { ...genuine, 'webhook-id': 'msg_2' }, false],
  ['a short signature', { ...genuine, 'webhook-signature': 'v1' }, false],
  ['a signature of other letters', { ...genuine, 'webhook-signature': 'é'.repeat(signature().length) }, false],
  ['as many bytes of other letters', { ...genuine, 'webhook-signature': `${signature().slice(0, -2)}é` }, false],
];

describe('a webhook whose headers are', () => {
  test.each(headers)('%s, is_genuine in Python', async (_, given, expected) => {
    const call = `import json, sys\n${having('python', 'def is_genuine')}\nprint(is_genuine(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3].encode()))`;
    const args = ['-c', call, secret, JSON.stringify(given), body];
    const { stdout } = await promisify(execFile)('python3', args);
    expect(stdout.trim()).toBe(expected ? 'True' : 'False');
  });

  test.each(headers)('%s, isGenuine in JavaScript', async (_, given, expected) => {
    const code = having('js', 'function isGenuine');
    const { isGenuine } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
    expect(isGenuine(secret, given, body)).toBe(expected);
    expect(isGenuine(secret, given, Buffer.from(body))).toBe(expected);
  });
});
