import { afterAll, beforeAll, expect, test } from 'vitest';
import { sql } from 'kysely';
import { runCommand } from '../harness/command.ts';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';

/** How much an account may ask for and have, by its tier: two API processes of a hosted server, and one of somebody's own. */

let apis: [Orchflow, Orchflow];
let own: Orchflow;

beforeAll(async () => {
  const environment = { ORCHFLOW_MODE: 'hosted', REGISTER_LIMIT_PER_HOUR: '0' };
  const first = await startOrchflow({ environment, worker: false });
  const { DATABASE_URL = '', ENCRYPTION_KEY = '' } = first.env;
  apis = [first, await startOrchflow({ environment: { ...environment, DATABASE_URL, ENCRYPTION_KEY }, worker: false })];
  own = await startOrchflow({ worker: false });
});
afterAll(() => Promise.all([...apis, own].map((api) => api.stop())));

function setTier({ env }: Orchflow, { email }: User, tier: string) {
  return runCommand('account', { DATABASE_URL: env.DATABASE_URL }, email, '--tier', tier);
}

const read = ({ url }: Orchflow, { api_key }: User, at = '/api/v1/providers') =>
  send(url, 'GET', at, { 'x-api-key': api_key });

/** As soon as a second has passed since the last. */
async function untilPolicy(api: Orchflow, user: User, policy: string | null): Promise<void> {
  await until(
    async () => (await read(api, user)).headers.get('ratelimit-policy') === policy,
    `the limits are ${policy}`,
  );
}

const free = '"burst";q=20;w=1, "requests";q=100;w=60';
const pro = '"burst";q=100;w=1, "requests";q=1000;w=60';
const enterprise = '"burst";q=1000;w=1, "requests";q=10000;w=60';

test('who was given no tier is Free: so many requests a second, and so many a minute, on all surfaces and processes', async () => {
  const user = await apis[0].register();
  const first = await read(apis[0], user);
  expect(first.status).toBe(200);
  expect(first.headers.get('ratelimit-policy')).toBe(free);
  expect(first.headers.get('ratelimit')).toMatch(/^"burst";r=19;t=1, "requests";r=99;t=(59|60)$/);
  expect(first.headers.get('x-ratelimit-limit')).toBe('100');
  expect(first.headers.get('x-ratelimit-remaining')).toBe('99');

  const at = ['/api/v1/providers', '/v1/api-keys'];
  const burst = await Promise.all(Array.from({ length: 60 }, (_, n) => read(apis[n % 2]!, user, at[n % 3 && 1])));
  const refused = burst.filter(({ status }) => status === 429);
  expect(refused.length).toBeGreaterThan(0);
  expectProblem(refused[0]!, { status: 429, code: 'RATE_LIMITED' });
  expect(refused[0]!.body.detail).toBe('At most 20 requests in 1 second. Try again in 1 second.');
  expect(refused[0]!.headers.get('retry-after')).toBe('1');
  expect(refused[0]!.headers.get('ratelimit')).toMatch(/^"burst";r=0;t=1$/);

  // By the minute too, as soon as there were so many of them.
  let last = refused[0]!;
  await until(async () => {
    last = await read(apis[0], user);
    return last.status === 429 && last.headers.get('x-ratelimit-limit') === '100';
  }, 'the minute is used up');
  expect(last.body.detail).toMatch(/^At most 100 requests in 60 seconds\. Try again in \d+ seconds\.$/);
  const { rows } = await sql<{ points: number }>`
    select points from rate_limits where key like 'requests:%' order by points desc limit 1`.execute(apis[0].db);
  expect(rows[0]!.points).toBeGreaterThanOrEqual(100);
  const other = await apis[0].register();
  expect((await read(apis[1], other)).status).toBe(200);
});

test('an operator gives a tier, which every process knows a second later', async () => {
  const user = await apis[0].register();
  for (const api of apis) await untilPolicy(api, user, free);
  const { stdout } = await setTier(apis[0], user, 'pro');
  expect(stdout).toBe(
    `${user.email} has the tier Pro: 1000 requests a minute, 100 a second, 25 agents. Every server knows it within seconds.\n`,
  );
  for (const api of apis) await untilPolicy(api, user, pro);
  expect((await setTier(apis[0], user, 'enterprise')).stdout).toContain('any number of agents');
  for (const api of apis) await untilPolicy(api, user, enterprise);
  await setTier(apis[0], user, 'none');
  for (const api of apis) await untilPolicy(api, user, free);
  await expect(setTier(apis[0], user, 'gold')).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--tier'),
  });
});

test('the fourth agent of a Free account is refused with the way out, and Pro has room for it', async () => {
  const user = await apis[0].register();
  // Four at once come to no more either.
  const made = await Promise.all(['a', 'b', 'c', 'd'].map((name) => user.post('/agents', { name })));
  expect(made.filter(({ status }) => status === 201)).toHaveLength(3);
  const refused = await user.post('/agents', { name: 'e' });
  expectProblem(refused, {
    status: 402,
    code: 'TIER_LIMIT_REACHED',
    detail:
      'The tier Free has 3 agents, and this account has them. Pro has 25. ' +
      'Delete one with DELETE /api/v1/agents/{agent_id}, or ask the operator of this server for a higher tier.',
  });
  await setTier(apis[0], user, 'pro');
  await untilPolicy(apis[0], user, pro);
  expect((await user.post('/agents', { name: 'e' })).status).toBe(201);
});

test("on a server of one's own there is no tier, unless an account is given one", async () => {
  const user = await own.register();
  expect((await read(own, user)).headers.get('ratelimit-policy')).toBeNull();
  await setTier(own, user, 'free');
  await untilPolicy(own, user, free);
  await setTier(own, user, 'none');
  await untilPolicy(own, user, null);
});

test('an operator who says how many requests there may be gives that to all who have no tier', async () => {
  const { DATABASE_URL = '', ENCRYPTION_KEY = '' } = apis[0].env;
  const environment = { ORCHFLOW_MODE: 'hosted', RATE_LIMIT_PER_MINUTE: '77', DATABASE_URL, ENCRYPTION_KEY };
  const api = await startOrchflow({ environment, worker: false });
  try {
    const user = await apis[0].register();
    await untilPolicy(api, user, '"requests";q=77;w=60');
    await setTier(api, user, 'pro');
    await untilPolicy(api, user, pro);
  } finally {
    await api.stop();
  }
});
