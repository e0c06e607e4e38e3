import { limits } from '../limits.ts';
import { clear, mark } from './keys.ts';
import { orTooMany, type Attack } from './tenant.ts';

/** What is refused at the door: bodies, addresses, and too much of everything. */

const task = 'Take what there is.';
const nested = (levels: number) => `{"task":"x","agents":${'['.repeat(levels)}${']'.repeat(levels)}}`;

/** Bodies that are none, or too much, each with what is due for it. */
const bodies: [body: unknown, status: number, headers?: Record<string, string>][] = [
  ['{"task": ', 422],
  ['[]', 422],
  ['null', 422],
  [nested(40), 422],
  ['['.repeat(500_000), 422],
  [{ task: 'x'.repeat(20_001) }, 422],
  [{ task: 'a\0b' }, 422],
  [{ task, other: 1 }, 422],
  [{ task, agents: Array.from({ length: 21 }, (_, n) => ({ name: `a${n}` })) }, 422],
  [{ task, max_tokens: -1 }, 422],
  [{ task, human_gates: Array(21).fill('x') }, 422],
  [{ task, webhook_url: 'file:///etc/passwd' }, 422],
  [{ task: 'x'.repeat(1_100_000) }, 413],
  [{ task }, 415, { 'content-type': 'text/plain' }],
  [{ task }, 415, { 'content-encoding': 'gzip' }],
  [{ task }, 415, { 'content-type': 'application/json; charset=utf-16' }],
];

const badBodies: Attack = async ({ post }) => {
  await Promise.all(bodies.map(([body, status, headers]) => post('/runs', body, [status], { headers })));
};

/** Paths, methods and queries that there are not. */
const paths = [
  ['PATCH', '/runs', 405],
  ['PUT', '/keys', 405],
  ['GET', '/runs?limit=1000', 422],
  ['GET', '/runs?cursor=%00', 422],
  ['GET', '/runs?cursor=e30', 422],
  ['GET', '/runs?other=1', 422],
  ['GET', '/runs/..%2F..%2Fkeys', 404],
  ['GET', "/runs/'%20or%201=1", 404],
  ['GET', '/nothing', 404],
] as const;

const badPaths: Attack = async ({ ask }) => {
  await Promise.all(paths.map(([method, path, status]) => ask({ method, path, due: [status] })));
};

/** Definitions that must not be saved. */
const badDefinitions: Attack = async ({ post, nameFor, random }) => {
  const step = (more: object) => ({ id: 'a', name: 'A', type: 'print', print_content: 'x', ...more });
  const steps = random.pick([
    [step({ next_step_id: 'nowhere' })],
    [step({ id: 'x'.repeat(49) })],
    Array.from({ length: 201 }, (_, n) => step({ id: `a${n}` })),
    [step({ type: 'transform', transform_code: 'while (' })],
    [step({ type: 'transform', transform_code: `${'('.repeat(20_000)}` })],
    [step({ type: 'tool', forced_tool: 'no.such' })],
    [step({ print_content: 'x'.repeat(50_001) })],
  ]);
  const makes = nameFor('definition');
  await post('/orchestrations', { id: makes, name: 'Bad', entry_step_id: steps[0]!.id, steps }, [422], { makes });
};

/** More providers than there may be. */
const manyProviders: Attack = async (hostile) => {
  const { post, nameFor, outside, atOnce } = hostile;
  await atOnce(limits.providers + 3, () => {
    const makes = nameFor(mark);
    const provider = { provider: 'openai', api_key: 'sk-canaryx', base_url: outside.never, label: makes };
    return post('/providers', provider, orTooMany(201), { makes });
  });
  await clear(hostile, '/providers', 'providers', 'provider_id', 'label');
};

/** More orchestrations than there may be. */
const manyOrchestrations: Attack = async (hostile) => {
  const { define, nameFor, atOnce } = hostile;
  const step = { id: 'a', type: 'print', print_content: 'x' };
  await atOnce(limits.orchestrations + 3, () => define([step], nameFor(mark)));
  await clear(hostile, '/orchestrations', '', 'id', 'id');
};

/** More subscriptions than there may be, to an endpoint that never answers. */
const manySubscriptions: Attack = async (hostile) => {
  const { post, nameFor, outside, atOnce } = hostile;
  await atOnce(limits.subscriptions + 3, () => {
    const makes = nameFor(mark);
    const subscription = { url: outside.never, events: ['*'], description: makes };
    return post('/webhooks/subscriptions', subscription, orTooMany(201), { makes });
  });
  await hostile.pause(1_500);
  await clear(hostile, '/webhooks/subscriptions', 'subscriptions', 'subscription_id', 'description');
};

/** Addresses of private networks, wherever an address may be given. */
const privateAddresses: Attack = async ({ post, random, provider_id }) => {
  const url = random.pick([
    'http://10.0.0.1/',
    'http://169.254.169.254/latest',
    'http://[fd00::1]/',
    'http://0.0.0.0:1/',
  ]);
  await post('/providers', { provider: 'openai', api_key: 'sk-canaryx', base_url: url }, [422, 429]);
  await post('/tools/mcp', { name: 'private', url }, [422, 429]);
  await post('/runs', { task, provider_id, webhook_url: url }, [422]);
  await post('/webhooks/subscriptions', { url, events: ['*'] }, [422]);
};

/** Accounts of one address, until there are enough; and one of an e-mail that is taken. */
const registrations: Attack = async ({ post, nameFor, atOnce }) => {
  const register = (email: string, due: number[]) => post('/auth/register', { name: 'X', email }, due, { key: null });
  const taken = `${nameFor('account')}@example.com`;
  await atOnce(3, () => register(taken, [201, 409, 429]));
  await register('no address', [422, 429]);
};

/** One Idempotency-Key for everything. */
const oneIdempotencyKey: Attack = async ({ post, nameFor, provider_id, atOnce }) => {
  const headers = { 'idempotency-key': nameFor('idempotency') };
  const makes = nameFor('plain');
  const body = { task: `[run:${makes}] ${task}`, provider_id };
  const answers = await atOnce(8, () => post('/runs', body, [201, 409, 429], { headers, makes }));
  if (!answers.some(({ status }) => status === 201)) return;
  await post('/runs', { ...body, task: 'Another.' }, [422, 409], { headers });
  await post('/keys', { name: 'x', scopes: ['*'] }, [422, 409], { headers });
};

/** More requests than there may be in a minute. */
const flood: Attack = async ({ get, atOnce, random, signal }) => {
  const end = Date.now() + random.between(300, 1_500);
  await atOnce(4, async () => {
    for (let isAllowed = true; isAllowed && Date.now() < end && !signal.aborted;) {
      isAllowed = (await get('/runs/run_none', [404])).status === 404;
    }
  });
};

export const doors = {
  badBodies,
  badPaths,
  badDefinitions,
  manyProviders,
  manyOrchestrations,
  manySubscriptions,
  privateAddresses,
  registrations,
  oneIdempotencyKey,
  flood,
};
