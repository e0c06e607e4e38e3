import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { beginCodeRun } from '../../db/code-runs.ts';
import { makeRunKey } from '../../src/accounts/run-keys.ts';
import { allScopes, scopes } from '../../src/accounts/scopes.ts';
import { uuidOf } from '../../src/ids.ts';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { expectError, inHouseWords, isOrchagent } from '../harness/orchagent.ts';
import { expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';

/** Every operation of /openapi.json wants the scope that it names, and no other. */

type Operation = { method: string; path: string; operationId: string; security: { apiKey?: string[] }[] };

let orchflow: Orchflow;
let owner: User;
let document: any;
let operations: (Operation & { template: string; scope: string | undefined })[];

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
  document = (await send(orchflow.url, 'GET', '/openapi.json')).body;
  operations = Object.entries<Record<string, Omit<Operation, 'method' | 'path'>>>(document.paths).flatMap(
    ([path, item]) =>
      Object.entries(item).map(([method, operation]) => ({
        ...operation,
        method: method.toUpperCase(),
        template: path,
        path: path.replaceAll(/\{\w+\}/g, 'unknown'),
        scope: operation.security.find(({ apiKey }) => apiKey)?.apiKey?.[0],
      })),
  );
});
afterAll(() => orchflow.stop());
// An account may have fifty keys.
beforeEach(async () => {
  owner = await orchflow.register();
});

async function keyWith(held: readonly string[]): Promise<string> {
  const { status, body } = await owner.post('/keys', { name: 'Some', scopes: held });
  expect(status, JSON.stringify(body)).toBe(201);
  return body.api_key;
}

function ask({ method, path }: Operation, api_key?: string) {
  const headers = { ...(api_key && { 'x-api-key': api_key }), 'content-type': 'application/json' };
  return send(orchflow.url, method, path, headers, ['POST', 'PUT', 'PATCH'].includes(method) ? '{}' : undefined);
}

test('the vocabulary is what the operations name, and what a key may be given', () => {
  const named = operations.flatMap(({ scope }) => scope ?? []);
  expect(new Set(named)).toEqual(new Set(scopes));
  expect(document.components.schemas.Scope.enum).toEqual([...allScopes, ...scopes]);
  const open = operations.filter(({ scope }) => !scope).map(({ operationId }) => operationId);
  const ofOrchagent = [
    'cliLogout',
    'downloadAgent',
    'downloadAgentCode',
    'estimateAgentCost',
    'getPublicAgent',
    'listPublicAgents',
  ];
  expect(open.toSorted()).toEqual([...ofOrchagent, 'getHealth', 'listAgentTemplates', 'registerAccount'].toSorted());
});

test.each(scopes)('without %s alone each of its operations is 403, with it alone none', async (scope) => {
  const without = await keyWith(scopes.filter((other) => other !== scope));
  const withIt = await keyWith([scope]);
  for (const operation of operations.filter((one) => one.scope)) {
    const isIts = operation.scope === scope;
    const name = `${operation.method} ${operation.path}`;
    const allowed = await ask(operation, isIts ? withIt : without);
    expect([401, 403, 429, 500, 503], name).not.toContain(allowed.status);
    const refused = await ask(operation, isIts ? without : withIt);
    const detail = `This key lacks the scope ${operation.scope}.`;
    const problem = { code: 'MISSING_SCOPE', detail, scope: operation.scope };
    if (!isOrchagent(operation.template)) expectProblem(refused, { status: 403, ...problem });
    else expect([expectError(refused, 'FORBIDDEN', 403), inHouseWords(refused).body][1], name).toMatchObject(problem);
  }
});

test('the key of code that is run calls agents, and reads runs of its own chain: nothing else, on any surface', async () => {
  const { db } = orchflow;
  const start = async () => (await owner.post('/runs', { task: 'Think.' })).body.run_id as string;
  const [own, other] = [await start(), await start()];
  // Its events end.
  await owner.openRun(own).cancel();
  const { account_id } = await db
    .selectFrom('accounts')
    .select('account_id')
    .where('email', '=', owner.email)
    .executeTakeFirstOrThrow();
  const { key, row } = makeRunKey({ account_id, run_id: own, mode: 'live' }, 60_000);
  await beginCodeRun(db, { call_id: own, try: 1, run_id: own, task_id: null, worker_id: 'w1' }, row);
  const at = (operation: (typeof operations)[number], run_id: string) =>
    ask(
      {
        ...operation,
        path: operation.template
          .replace('{run_id}', operation.template.startsWith('/workspaces') ? uuidOf(run_id) : run_id)
          .replace('{workspace_id}', uuidOf(account_id))
          .replaceAll(/\{\w+\}/g, 'unknown'),
      },
      key,
    );
  let read = 0;
  for (const operation of operations.filter(({ scope }) => scope)) {
    const name = `${operation.method} ${operation.template}`;
    const { status, body } = inHouseWords(await at(operation, own));
    if (operation.scope === 'agents:call') {
      expect([status, body.detail], name).toEqual([404, 'Agent not found.']);
    } else if (operation.scope !== 'runs:read') {
      expect([status, body.code], name).toEqual([403, 'MISSING_SCOPE']);
    } else if (!operation.template.includes('{run_id}')) {
      expect([status, body.detail], name).toEqual([404, 'Page not found.']);
    } else {
      read += status === 200 ? 1 : 0;
      expect([200, 404], name).toContain(status);
      const stranger = inHouseWords(await at(operation, other));
      expect([stranger.status, stranger.body.detail], name).toEqual([404, 'Run not found.']);
    }
  }
  expect(read).toBeGreaterThanOrEqual(4);
});

test('what needs no key asks for no scope', async () => {
  for (const operation of operations.filter(({ scope }) => !scope)) {
    const statuses = operation.path.startsWith('/public/agents/') ? [404] : [200, 422];
    expect(statuses, operation.path).toContain((await ask(operation)).status);
  }
});

test('a key without the scope gets no answer that was kept for another', async () => {
  const idempotent = { 'content-type': 'application/json', 'idempotency-key': 'once' };
  const post = (path: string, key: string, body: object) =>
    send(orchflow.url, 'POST', path, { ...idempotent, 'x-api-key': key }, JSON.stringify(body));
  const key = { name: 'All', scopes: ['*'] };
  const first = await post('/api/v1/keys', owner.api_key, key);
  expect(first.status).toBe(201);
  expect((await post('/api/v1/keys', owner.api_key, key)).body).toEqual(first.body);

  expectProblem(await post('/api/v1/keys', await keyWith(['runs:read']), key), {
    status: 403,
    code: 'MISSING_SCOPE',
    scope: 'keys:write',
  });
  // It may make keys, but none that may do everything.
  const maker = await keyWith(['keys:write', 'runs:read']);
  expectProblem(await post('/api/v1/keys', maker, key), { status: 422, code: 'IDEMPOTENCY_KEY_REUSED' });
});
