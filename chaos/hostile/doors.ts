import { limits } from '../limits.ts';
import { orTooMany, type Attack, type Hostile } from './tenant.ts';

/** What is refused at the door: bodies, keys, addresses, and too much of everything. */

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

/** Keys that nobody has: after some of them the address is told to wait, and whoever has a good one is not. */
const wrongKeys: Attack = async ({ get, random, atOnce }) => {
  const wrong = () => `orch_${random.next().toString(36).slice(2).padEnd(43, 'x')}`;
  await atOnce(random.pick([5, 40]), () =>
    get('/runs', [401, 429], { key: random.pick([wrong(), 'sk-none', '', null]) }),
  );
  await get('/runs?limit=1');
};

/** A key that was taken back is none, a second later and in both APIs. */
const revokedKeys: Attack = async ({ post, ask, get, nameFor, pause, atOnce, signal }) => {
  const makes = nameFor('key');
  const { body } = await post('/keys', { name: makes, scopes: ['runs:read'] }, orTooMany(201), { makes });
  if (!body?.api_key) return;
  const key: string = body.api_key;
  await get('/runs?limit=1', [200], { key });
  const { status } = await ask({ method: 'DELETE', path: `/keys/${body.key_id}`, due: [200] });
  await pause(1_500);
  if (status === 200 && !signal.aborted) await atOnce(4, () => get('/runs?limit=1', [401, 429], { key }));
};

/** What each scope is for, and what a key without it is told. */
const scoped: [scope: string, request: { method: string; path: string; body?: object }][] = [
  ['runs:read', { method: 'GET', path: '/runs' }],
  ['runs:write', { method: 'POST', path: '/runs', body: { task } }],
  ['gates:answer', { method: 'POST', path: '/runs/run_x/tasks/T1/complete', body: { output: 'x' } }],
  ['orchestrations:read', { method: 'GET', path: '/orchestrations' }],
  ['orchestrations:write', { method: 'DELETE', path: '/orchestrations/chaos' }],
  ['providers:read', { method: 'GET', path: '/providers' }],
  ['providers:write', { method: 'DELETE', path: '/providers/prv_x' }],
  ['tools:read', { method: 'GET', path: '/tools' }],
  ['tools:write', { method: 'DELETE', path: '/tools/mcp/bank' }],
  ['webhooks:read', { method: 'GET', path: '/webhooks/deliveries' }],
  ['webhooks:write', { method: 'POST', path: '/webhooks/secret/rotate' }],
  ['keys:read', { method: 'GET', path: '/keys' }],
  ['keys:write', { method: 'POST', path: '/keys', body: { name: 'more', scopes: ['*'] } }],
];

/** A key that may do one thing is refused everything else. */
const narrowKeys: Attack = async ({ post, ask, nameFor, random, pause, remove }) => {
  const [scope] = random.pick(scoped);
  const makes = nameFor('key');
  let created: Awaited<ReturnType<typeof post>> = {};
  for (let tries = 1; tries <= 10 && created.status !== 201; tries += 1) {
    if (tries > 1) await pause(1_000);
    created = await post('/keys', { name: makes, scopes: [scope] }, orTooMany(201), { makes });
  }
  if (!created.body) return;
  const { api_key: key, key_id } = created.body as { api_key: string; key_id: string };
  for (const [other, request] of scoped) if (other !== scope) await ask({ ...request, key, due: [403] });
  await remove(`/keys/${key_id}`);
};

/** A key whose time is over is none. */
const expiredKeys: Attack = async ({ post, get, nameFor, pause, signal }) => {
  const makes = nameFor('key');
  const key = { name: makes, scopes: ['runs:read'], expires_in: '1s' };
  const { body } = await post('/keys', key, orTooMany(201), { makes });
  if (!body) return;
  await pause(Date.parse(body.expires_at) - Date.now() + 1_500);
  if (!signal.aborted) await get('/runs', [401, 429], { key: body.api_key });
};

/** Of what is made to be too many; all of it goes again, also that of which the answer was lost. */
const mark = 'many';

/** Deletes what an attack like this has made. */
async function clear({ get, remove }: Hostile, path: string, kind: string, id: string, name: string): Promise<void> {
  const { body } = await get(path);
  const all: Record<string, string>[] = (kind ? body?.[kind] : body) ?? [];
  for (const one of all.filter((other) => other[name]?.startsWith(`x${mark}`))) await remove(`${path}/${one[id]}`);
}

/** More keys than there may be. */
const manyKeys: Attack = async (hostile) => {
  const { post, nameFor, atOnce } = hostile;
  await atOnce(5, async () => {
    for (let isRoom = true; isRoom;) {
      const makes = nameFor(mark);
      const { status } = await post('/keys', { name: makes, scopes: ['runs:read'] }, orTooMany(201), { makes });
      isRoom = status === 201;
    }
  });
  await clear(hostile, '/keys', 'keys', 'key_id', 'name');
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
  wrongKeys,
  revokedKeys,
  narrowKeys,
  expiredKeys,
  manyKeys,
  manyProviders,
  manyOrchestrations,
  privateAddresses,
  registrations,
  oneIdempotencyKey,
  flood,
};
