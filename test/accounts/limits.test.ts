import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { getAccountOf } from '../../db/runs.ts';
import { mcpKey, startFakeMcp, type FakeMcp } from '../fakes/mcp.ts';
import { define } from '../harness/orchestration.ts';
import { startOrchflow, type Answer, type Orchflow, type User } from '../harness/orchflow.ts';
import { expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';
import { countRows } from '../harness/rows.ts';

/** An account has so much of each thing at once. What is one too many is told so, and makes nothing. */

const most = 3;
const names = [
  'UNFINISHED_RUNS',
  'PROVIDERS',
  'MCP_SERVERS',
  'ORCHESTRATIONS',
  'REDELIVERIES',
  'WEBHOOK_SUBSCRIPTIONS',
];
const environment = Object.fromEntries(names.map((name) => [`MAX_${name}_PER_ACCOUNT`, String(most)]));
let orchflow: Orchflow;
let mcp: FakeMcp;
let user: User;
let orchestration: string;

beforeAll(async () => {
  mcp = await startFakeMcp((city) => `Rain in ${city}.`);
  orchflow = await startOrchflow({ environment, worker: false });
});
afterAll(async () => {
  await orchflow.stop();
  mcp.down();
});
beforeEach(async () => {
  user = await orchflow.register();
  orchestration = await define(user, step);
});

const step = [{ id: 'print', type: 'print', print_content: 'Hello' }];
const definition = (id: string) => ({ id, name: id, entry_step_id: 'print', steps: [{ ...step[0], name: 'print' }] });
const provider = { provider: 'openai', api_key: 'sk-canary' };

/** A run that has ended so. */
async function ended(status: 'completed' | 'failed'): Promise<string> {
  const { run_id } = (await user.post(`/orchestrations/${orchestration}/run?wait=0`, { message: 'Go.' })).body;
  await orchflow.db.updateTable('runs').set({ status }).where('run_id', '=', run_id).execute();
  return run_id;
}

async function aDelivery(): Promise<string> {
  const run_id = await ended('completed');
  const account_id = (await getAccountOf(orchflow.db, run_id))!;
  const delivery_id = `msg_${run_id}`;
  await orchflow.db
    .insertInto('webhook_deliveries')
    .values({ delivery_id, run_id, account_id: account_id!, event: 'completed', body: '{}' })
    .execute();
  return delivery_id;
}

type Thing = {
  what: string;
  /** What is taken besides the orchestration that every account has here. */
  free?: number;
  /** What comes before, that the limit does not count. */
  prepare?: () => Promise<string[]>;
  add: (n: number, prepared: string[]) => Promise<Answer>;
  makeRoom: (added: Answer) => Promise<unknown>;
};

const cancel = ({ body }: Answer) => user.delete(`/runs/${body.run_id}`);
const prepared = (make: () => Promise<string>) => async () => [await make(), await make(), await make(), await make()];

const things: Record<string, Thing> = {
  'goals that are started': {
    what: 'unfinished runs',
    add: () => user.post('/runs', { task: 'Compare.' }),
    makeRoom: cancel,
  },
  'orchestrations that are started': {
    what: 'unfinished runs',
    add: () => user.post(`/orchestrations/${orchestration}/run?wait=0`, { message: 'Go.' }),
    makeRoom: cancel,
  },
  'failed runs that are tried again': {
    what: 'unfinished runs',
    prepare: prepared(() => ended('failed')),
    add: (n, run_ids) => user.post(`/orchestrations/runs/${run_ids[n]}/retry?wait=0`, {}),
    makeRoom: cancel,
  },
  providers: {
    what: 'active providers',
    add: () => user.post('/providers', provider),
    makeRoom: ({ body }) => user.delete(`/providers/${body.provider_id}`),
  },
  'MCP servers': {
    what: 'MCP servers',
    add: (n) => user.post('/tools/mcp', { name: `weather${n}`, url: mcp.url, headers: { Authorization: mcpKey } }),
    makeRoom: ({ body }) => user.delete(`/tools/mcp/${body.name}`),
  },
  orchestrations: {
    what: 'orchestrations',
    free: most - 1,
    add: (n) => user.post('/orchestrations', definition(`own${n}`)),
    makeRoom: ({ body }) => user.delete(`/orchestrations/${body.id}`),
  },
  'webhook subscriptions': {
    what: 'webhook subscriptions',
    add: () => user.post('/webhooks/subscriptions', { url: 'https://example.com/hook', events: ['*'] }),
    makeRoom: ({ body }) => user.delete(`/webhooks/subscriptions/${body.subscription_id}`),
  },
  'webhooks that are sent again': {
    what: 'redeliveries under way',
    prepare: prepared(aDelivery),
    add: (n, ids) => user.post(`/webhooks/deliveries/${ids[n]}/redeliver`, {}),
    makeRoom: ({ body }) =>
      orchflow.db
        .updateTable('webhook_deliveries')
        .set({ status: 'delivered' })
        .where('delivery_id', '=', body.delivery_id)
        .execute(),
  },
};

describe.each(Object.entries(things))('%s', (_name, { what, free = most, prepare = async () => [], add, makeRoom }) => {
  test('are so many at once, and no more; there is room again when one goes', async () => {
    const before = await prepare();
    const added: Answer[] = [];
    for (let n = 0; n < free; n += 1) added.push(await add(n, before));
    for (const { status } of added) expect(status).toBeLessThan(300);

    const rows = await countRows(orchflow.db);
    const refused = await add(free, before);
    const detail = expect.stringMatching(new RegExp(`^This account has ${most} ${what}, and may have no more\\. \\w`));
    expectProblem(refused, { status: 429, code: 'LIMIT_REACHED', detail });
    expect(await countRows(orchflow.db)).toEqual({ ...rows, idempotency_keys: expect.any(Number) });

    await makeRoom(added[0]!);
    expect((await add(free, before)).status).toBeLessThan(300);
  });

  test('are no more when many come at once', async () => {
    const before = await prepare();
    const ids = Array.from({ length: 12 }, (_unused, n) => before[n % before.length]!);
    const answers = await Promise.all(ids.map((_id, n) => add(n, ids)));
    const statuses = answers.map(({ status }) => (status < 300 ? 'taken' : status));
    // A failed run is tried again once, whoever asks.
    const others = _name.startsWith('failed') ? [409, 429] : [429];
    expect(statuses.filter((status) => status === 'taken')).toHaveLength(free);
    expect(statuses.filter((status) => status !== 'taken' && !others.includes(Number(status)))).toEqual([]);
  });
});

test('one account’s limit is not another’s', async () => {
  for (let n = 0; n < most; n += 1) await user.post('/runs', { task: 'Compare.' });
  expect((await user.post('/runs', { task: 'Compare.' })).status).toBe(429);
  expect((await (await orchflow.register()).post('/runs', { task: 'Compare.' })).status).toBe(201);
});

test('a provider that takes the place of another, and a server or an orchestration that is replaced, need no room', async () => {
  const providers: string[] = [];
  for (let n = 0; n < most; n += 1) providers.push((await user.post('/providers', provider)).body.provider_id);
  expect((await user.post('/providers', { ...provider, replaces: providers[0] })).status).toBe(201);
  const server = (n: number) => ({ name: `weather${n}`, url: mcp.url, headers: { Authorization: mcpKey } });
  for (let n = 0; n < most; n += 1) await user.post('/tools/mcp', server(n));
  expect((await user.post('/tools/mcp', server(0))).status).toBe(201);
  for (let n = 1; n < most; n += 1) await user.post('/orchestrations', definition(`own${n}`));
  expect((await user.put('/orchestrations/own1', definition('own1'))).status).toBe(200);
  expectProblem(await user.post('/orchestrations', definition('own1')), {
    status: 409,
    code: 'ORCHESTRATION_EXISTS',
    detail: expect.stringContaining('own1'),
  });
});

test('a request that was refused may be sent again with its Idempotency-Key, and one that was taken finds its answer', async () => {
  const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json' };
  const post = (key: string) =>
    send(orchflow.url, 'POST', '/api/v1/providers', { ...headers, 'idempotency-key': key }, JSON.stringify(provider));
  for (let n = 1; n < most; n += 1) await user.post('/providers', provider);
  const last = await post('last');
  expect([last.status, (await post('more')).status]).toEqual([201, 429]);
  expect((await post('last')).body).toEqual(last.body);
  await user.delete(`/providers/${last.body.provider_id}`);
  expect((await post('more')).status).toBe(201);
});
