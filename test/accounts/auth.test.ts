import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';
import { countRows } from '../harness/rows.ts';

let orchflow: Orchflow;
let user: User;

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
});
afterAll(() => orchflow.stop());
beforeEach(async () => {
  user = await orchflow.register();
});

const register = (body: object) =>
  send(orchflow.url, 'POST', '/api/v1/auth/register', { 'content-type': 'application/json' }, JSON.stringify(body));

const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const fromBase62 = (text: string) => Array.from(text).reduce((sum, digit) => sum * 62 + base62.indexOf(digit), 0);

describe('registration', () => {
  test('gives a key with a checksum, a webhook secret and the documented message', async () => {
    const { status, body } = await register({ name: 'Tarun', email: 'tarun@example.com' });
    expect(status).toBe(201);
    expect(Object.keys(body).sort()).toEqual(['api_key', 'message', 'webhook_secret']);
    expect(body.message).toContain('Free tier: 100 runs/month, 3 managed trial runs included.');
    expect(body.api_key).toMatch(/^orch_[0-9A-Za-z]{49}$/);
    expect(fromBase62(body.api_key.slice(-6))).toBe(crc32(body.api_key.slice(0, -6)));
    expect(Buffer.from(/^whsec_(.+)$/.exec(body.webhook_secret)![1]!, 'base64')).toHaveLength(32);
  });

  test('keeps no key and no secret in clear: of the key its SHA-256 and its first characters', async () => {
    const { db } = orchflow;
    const account = await db
      .selectFrom('accounts')
      .selectAll()
      .where('email', '=', user.email)
      .executeTakeFirstOrThrow();
    const { account_id } = account;
    const keys = await db.selectFrom('api_keys').selectAll().where('account_id', '=', account_id).execute();
    expect(keys).toEqual([
      {
        account_id,
        key_id: expect.stringMatching(/^key_\w{20}$/),
        name: 'First key',
        scopes: ['*'],
        person_id: null,
        mode: 'live',
        grant_id: null,
        run_id: null,
        agent_id: null,
        key_sha256: createHash('sha256').update(user.api_key).digest('hex'),
        key_prefix: user.api_key.slice(0, 9),
        created_at: expect.any(String),
        expires_at: null,
        last_used_at: null,
      },
    ]);
    const secret = user.webhook_secret.slice('whsec_'.length);
    expect(JSON.stringify(account)).not.toContain(secret);
    expect(account.webhook_secret_encrypted).toMatch(/^v1\./);
  });

  test('a known e-mail is refused whatever its case, and nothing is kept', async () => {
    const before = await countRows(orchflow.db);
    const again = await register({ name: 'Eve', email: user.email.toUpperCase() });
    expectProblem(again, { status: 409, code: 'EMAIL_TAKEN' });
    expect(await countRows(orchflow.db)).toEqual(before);
    expect((await user.get('/runs')).status).toBe(200);
  });

  test('of ten registrations of one e-mail at once, one succeeds', async () => {
    const email = `once.${user.email}`;
    const answers = await Promise.all(Array.from({ length: 10 }, () => register({ name: 'Ada', email })));
    expect(answers.map(({ status }) => String(status)).sort()).toEqual([
      '201',
      ...Array.from({ length: 9 }, () => '409'),
    ]);
  });
});

describe('API keys', () => {
  test('are taken in X-API-Key and as a bearer token', async () => {
    const accepted = [
      ['X-API-Key', user.api_key],
      ['Authorization', `Bearer ${user.api_key}`],
      ['authorization', `bearer ${user.api_key}`],
    ];
    for (const [name, value] of accepted as [string, string][]) {
      expect((await send(orchflow.url, 'GET', '/api/v1/runs', { [name]: value })).status).toBe(200);
    }
  });

  test('missing, malformed, mistyped and unknown ones are refused with the same words', async () => {
    const mistyped = user.api_key.slice(0, -1) + (user.api_key.endsWith('0') ? '1' : '0');
    const elsewhere = await startOrchflow({ worker: false });
    const unknown = (await elsewhere.register()).api_key;
    await elsewhere.stop();
    const bad = ['', 'orch_your_key', `${user.api_key}x`, mistyped, unknown];
    const headers: Record<string, string>[] = [
      {},
      ...bad.map((key) => ({ 'x-api-key': key })),
      ...bad.map((key) => ({ authorization: `Bearer ${key}` })),
      { authorization: `Basic ${user.api_key}` },
      { 'x-api-key': unknown, authorization: `Bearer ${user.api_key}` },
    ];
    const answers = await Promise.all(
      headers.map((each) => send(orchflow.url, 'GET', '/api/v1/runs', { ...each, 'x-request-id': 'same' })),
    );
    for (const answer of answers) {
      expectProblem(answer, { status: 401, code: 'UNAUTHORIZED' });
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      expect(answer.body).toEqual(answers[0]!.body);
    }
  });
});
