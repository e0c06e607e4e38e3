import { orTooMany, type Attack, type Hostile } from './tenant.ts';

/** Keys: wrong, taken back, expired, without the scope, and too many. */

const task = 'Take what there is.';

/** Keys that nobody has: after some of them the address is told to wait, and whoever has a good one is not. */
const wrongKeys: Attack = async ({ get, random, atOnce }) => {
  const wrong = () => `orch_${random.next().toString(36).slice(2).padEnd(43, 'x')}`;
  await atOnce(random.pick([5, 40]), () =>
    get('/runs', [401, 429], { key: random.pick([wrong(), 'sk-none', '', null]) }),
  );
  await get('/runs?limit=1');
};

/** Tokens of the operator, as `Bearer` and as the password of `Basic`: with them one reads what is in every history. */
const codecTokens: Attack = async ({ post, get, random, atOnce }) => {
  const guess = () => random.pick(['admin', 'codec', '', random.next().toString(36).slice(2)]);
  const payload = { metadata: { encoding: 'YmluYXJ5L2VuY3J5cHRlZA==' }, data: 'eA==' };
  await atOnce(random.pick([4, 30]), () => {
    const basic = Buffer.from(`operator:${guess()}`).toString('base64');
    const authorization = random.pick([`Bearer ${guess()}`, `Basic ${basic}`, 'Bearer', 'Digest x']);
    const more = { key: null, headers: { authorization } };
    return random.chance(0.2)
      ? get('/codec/', [401, 429], more)
      : post(random.pick(['/codec/decode', '/codec/encode']), { payloads: [payload] }, [401, 429], more);
  });
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
  ['agents:read', { method: 'GET', path: '/agents' }],
  ['agents:write', { method: 'DELETE', path: '/agents/agt_x' }],
  ['people:read', { method: 'GET', path: '/people' }],
  ['people:write', { method: 'DELETE', path: '/people/per_x' }],
  ['files:read', { method: 'GET', path: '/files' }],
  ['files:write', { method: 'DELETE', path: '/files/file_x' }],
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
export const mark = 'many';

/** Deletes what an attack like this has made. */
export async function clear(
  { get, remove }: Hostile,
  path: string,
  kind: string,
  id: string,
  name: string,
): Promise<void> {
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

export const keys = { wrongKeys, codecTokens, revokedKeys, narrowKeys, expiredKeys, manyKeys };
