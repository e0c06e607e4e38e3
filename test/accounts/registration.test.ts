import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startOrchflow, type Orchflow } from '../harness/orchflow.ts';
import { expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';

/** Who may register is a setting, and what is guessed is limited per address. */

const codes = ['the-first-invitation', 'the-second-invitation'];
const json = { 'content-type': 'application/json' };
let lastEmail = 0;

function register({ url }: Orchflow, more: object, from = '203.0.113.1') {
  const body = JSON.stringify({ name: 'Ada', email: `invited.${(lastEmail += 1)}@example.com`, ...more });
  return send(url, 'POST', '/api/v1/auth/register', { ...json, 'x-forwarded-for': from }, body);
}

async function withOrchflow(environment: Record<string, string>, work: (orchflow: Orchflow) => Promise<void>) {
  const orchflow = await startOrchflow({ environment, worker: false });
  await work(orchflow).finally(() => orchflow.stop());
}

describe('registration', () => {
  test('is open to all unless the operator says otherwise', () =>
    withOrchflow({}, async (orchflow) => {
      const { status, headers } = await register(orchflow, {});
      expect([status, headers.get('cache-control')]).toEqual([201, 'no-store']);
    }));

  test('closed, it is refused to all, in words', () =>
    withOrchflow({ REGISTRATION: 'closed', REGISTRATION_CODES: codes.join() }, async (orchflow) => {
      for (const more of [{}, { invite_code: codes[0] }]) {
        expectProblem(await register(orchflow, more), {
          status: 403,
          code: 'REGISTRATION_CLOSED',
          detail: 'This server takes no registrations. Its operator gives out accounts.',
        });
      }
    }));

  test('by invitation, it takes each of the codes, and nothing else', () =>
    withOrchflow({ REGISTRATION: 'invite', REGISTRATION_CODES: codes.join() }, async (orchflow) => {
      const email = 'taken@example.com';
      for (const invite_code of [...codes, codes[0]])
        expect((await register(orchflow, { invite_code })).status).toBe(201);
      expect((await register(orchflow, { email, invite_code: codes[0] })).status).toBe(201);
      for (const more of [{}, { invite_code: null }, { invite_code: '' }, { invite_code: `${codes[0]}!` }]) {
        // Nor is it told whether the e-mail has an account.
        expectProblem(await register(orchflow, { ...more, email }), { status: 403, code: 'REGISTRATION_CLOSED' });
      }
    }));

  test('by invitation without any code it is closed', () =>
    withOrchflow({ REGISTRATION: 'invite' }, async (orchflow) => {
      expectProblem(await register(orchflow, { invite_code: '' }), { status: 403, code: 'REGISTRATION_CLOSED' });
    }));
});

describe('what is guessed', () => {
  const CODEC_TOKEN = 'the-token-of-the-operator';
  const limit = 5;
  let orchflow: Orchflow;
  let api_key: string;
  beforeAll(async () => {
    orchflow = await startOrchflow({
      environment: {
        CODEC_TOKEN,
        REGISTRATION: 'invite',
        REGISTRATION_CODES: codes.join(),
        FAILED_KEYS_LIMIT_PER_MINUTE: String(limit),
        TRUSTED_PROXIES: '127.0.0.0/8',
      },
      worker: false,
    });
    api_key = (await register(orchflow, { invite_code: codes[0] }, '203.0.113.9')).body.api_key;
  });
  afterAll(() => orchflow.stop());

  const list = (key: string, from: string) =>
    send(orchflow.url, 'GET', '/api/v1/runs', { 'x-api-key': key, 'x-forwarded-for': from });
  const decode = (token: string, from: string) =>
    send(
      orchflow.url,
      'POST',
      '/codec/decode',
      { ...json, authorization: `Bearer ${token}`, 'x-forwarded-for': from },
      '{"payloads":[]}',
    );
  const join = (invite_code: string, from: string) => register(orchflow, { invite_code }, from);

  test.each<[string, (secret: string, from: string) => ReturnType<typeof list>, () => string, number, number, number]>([
    ['an API key', list, () => api_key, 200, 401, 200],
    ['the token of the codec', decode, () => CODEC_TOKEN, 200, 401, 429],
    ['an invite code', join, () => codes[0]!, 201, 403, 429],
  ])('%s: so many wrong ones of an address in a minute, then 429', async (_, ask, right, good, wrong, rightThen) => {
    const address = '198.51.100.7';
    for (let guess = 0; guess < limit; guess += 1) expect((await ask(`wrong-${guess}`, address)).status).toBe(wrong);
    const refused = await ask('wrong', address);
    expectProblem(refused, { status: 429, code: 'RATE_LIMITED' });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    // A key of 256 bits is not found by guessing; what people choose may be.
    expect((await ask(right(), address)).status).toBe(rightThen);
    expect((await ask('wrong', '198.51.100.8')).status).toBe(wrong);
    expect((await ask(right(), '198.51.100.8')).status).toBe(good);
  });

  test('who sends no key at all is told to send one, however often', async () => {
    for (let asked = 0; asked <= limit * 2; asked += 1) {
      expect((await send(orchflow.url, 'GET', '/api/v1/runs')).status).toBe(401);
    }
  });
});
