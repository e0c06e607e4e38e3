import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer } from '../harness/client.ts';
import { createContract } from './contract.ts';
import { callAccount } from './contract-account.ts';
import { callAgents } from './contract-agents.ts';
import { callOrchestrations } from './contract-orchestrations.ts';
import { callOrchstackAgents } from './contract-orchstack-agents.ts';
import { callOrchstackKeys } from './contract-orchstack-keys.ts';
import { callTools } from './contract-tools.ts';
import { callSteering } from './contract-steering.ts';
import { callFiles } from './contract-files.ts';
import { callCalls } from './contract-calls.ts';
import { callOrchagent } from './contract-orchagent.ts';
import { callOrchagentUsage } from './contract-orchagent-usage.ts';
import { callInFlight } from './contract-in-flight.ts';
import { callKnowledge } from './contract-knowledge.ts';
import { callPeople } from './contract-people.ts';
import { callWebhooks } from './contract-webhooks.ts';
import { callWorkflows } from './contract-workflows.ts';
import { isOrchagent } from '../harness/orchagent.ts';
import { startOrchflow, type Orchflow } from '../harness/orchflow.ts';
import { send } from '../harness/raw.ts';

let orchflow: Orchflow;
let document: Record<string, any>;

beforeAll(async () => {
  orchflow = await startOrchflow();
  document = (await send(orchflow.url, 'GET', '/openapi.json')).body;
});
afterAll(() => orchflow.stop());

const typeOf: Record<string, string> = {
  events: 'text/event-stream',
  stream: 'text/event-stream',
  content: 'application/octet-stream',
  bundle: 'application/octet-stream',
};

/** Answers in events too, where that is asked for. */
const inEventsToo = ['orchstackRunAgent 200', 'executeWorkflow 200', 'callAgent 200'];

type Operation = Record<string, any> & { method: string; path: string };

function operations(): Operation[] {
  return Object.entries<Record<string, object>>(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ ...operation, method: method.toUpperCase(), path })),
  );
}

describe('/openapi.json', () => {
  test('is OpenAPI 3.1 with a title, a version and the two ways to send a key', () => {
    expect(document.openapi).toMatch(/^3\.1\.\d+$/);
    expect(document.info).toMatchObject({ title: 'Orchflow', version: 'test' });
    expect(document.servers).toEqual([{ url: orchflow.url }]);
    expect(document.components.securitySchemes).toEqual({
      apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
      bearer: { type: 'http', scheme: 'bearer' },
    });
  });

  test('has every route of the app, and no other', () => {
    // Middleware is registered for all methods; the documentation does not document itself.
    const routes = orchflow.app.routes
      .filter(({ method, path }) => method !== 'ALL' && !/^.(openapi.json|docs|problems)/.test(path))
      .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
    const documented = operations().map(({ method, path }) => `${method} ${path}`);
    // It has no first segment of its own, and asks of each request whether it is one.
    const call = 'POST /{org}/{agent}/{version}/{endpoint}';
    expect(new Set(documented)).toEqual(new Set([...routes, call]));
    expect(documented).toEqual(
      expect.arrayContaining([
        'POST /api/v1/auth/register',
        'POST /api/v1/providers',
        'GET /api/v1/providers',
        'DELETE /api/v1/providers/{provider_id}',
        'POST /api/v1/runs',
        'GET /api/v1/runs',
        'GET /api/v1/runs/{run_id}',
        'GET /api/v1/runs/{run_id}/tasks',
        'POST /api/v1/runs/{run_id}/tasks/{task_id}/complete',
        'DELETE /api/v1/runs/{run_id}',
        'GET /api/v1/runs/{run_id}/events',
        'POST /api/v1/webhooks/secret/rotate',
        'GET /api/v1/webhooks/deliveries',
        'POST /api/v1/webhooks/deliveries/{delivery_id}/redeliver',
        'PATCH /api/v1/webhooks/subscriptions/{subscription_id}',
        'GET /api/v1/agents/templates',
        'GET /health',
      ]),
    );
  });

  test('gives each operation a summary, a description, a tag, its path parameters, its security and described answers', () => {
    const described: string[] = document.tags.map(({ name }: { name: string }) => name);
    const used = operations().flatMap(({ tags }) => tags);
    expect(new Set(described)).toEqual(new Set(used));
    for (const operation of operations()) {
      const { method, path, summary, description, tags, parameters = [], security, responses, requestBody } = operation;
      const { operationId } = operation;
      const name = `${method} ${path}`;
      expect(summary, name).toMatch(/\S/);
      expect(description, name).toMatch(/\S/);
      expect(tags, name).toHaveLength(1);
      const inPath = parameters.filter((parameter: { in: string }) => parameter.in === 'path');
      expect(inPath.map((parameter: { name: string }) => `{${parameter.name}}`)).toEqual(path.match(/\{\w+\}/g) ?? []);
      for (const parameter of inPath) expect(parameter.required, name).toBe(true);
      // Its scope, as a role: test/accounts/scopes.test.ts.
      const scope = [expect.stringMatching(/^\w+:\w+$/)];
      const ways = [{ apiKey: scope }, { bearer: scope }];
      expect(security, name).toEqual('401' in responses ? (isOrchagent(path) ? ways.toReversed() : ways) : []);
      if (method === 'GET' || method === 'DELETE') expect(requestBody, name).toBeUndefined();
      for (const [status, response] of Object.entries<Record<string, any>>(responses)) {
        expect(response.description, `${name} ${status}`).toMatch(/\S/);
        // Events of a trace are a page.
        const last = path.includes('/traces/') ? '' : (/\/(\w+)$/.exec(path)?.[1] ?? '');
        const answer = typeOf[last] ?? 'application/json';
        const error = isOrchagent(path) ? 'application/json' : 'application/problem+json';
        const type = Number(status) < 400 || path === '/health' ? answer : error;
        const types = inEventsToo.includes(`${operationId} ${status}`) ? [type, 'text/event-stream'] : [type];
        expect(Object.keys(response.content ?? {}), `${name} ${status}`).toEqual(status === '204' ? [] : types);
      }
    }
  });

  test('has a name of its own for each operation, and links that lead to one by parameters that it takes', () => {
    const byName = new Map(operations().map((operation) => [operation.operationId, operation]));
    expect(byName.size).toBe(operations().length);
    const links = operations().flatMap(({ responses }) =>
      Object.values<Record<string, any>>(responses).flatMap((answer) => Object.values<any>(answer.links ?? {})),
    );
    expect(links).toContainEqual({ operationId: 'getRun', parameters: { run_id: '$response.body#/run_id' } });
    for (const { operationId, parameters } of links) {
      const taken = byName.get(operationId)?.parameters.map(({ name }: { name: string }) => name);
      expect(taken, operationId).toEqual(expect.arrayContaining(Object.keys(parameters)));
    }
  });

  test('refers to schemas that exist and are JSON Schema', () => {
    const names = createContract(document).compileAll();
    expect(names).toEqual(expect.arrayContaining(['CreateRun', 'Run', 'Task', 'Gate', 'Problem', 'Provider']));
    const references = JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g);
    for (const [, name] of references) expect(names).toContain(name);
  });
});

test('every answer in the life of an account is as documented, member by member', async () => {
  const contract = createContract(document);
  const user = await orchflow.register();
  const seen = new Set<string>();

  async function call(
    method: string,
    template: string,
    ids: Record<string, string> = {},
    body?: object | string,
    key = user.api_key,
    more: Record<string, string> = {},
  ): Promise<Answer> {
    const [path] = template.split('?');
    const target = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => ids[name]!);
    const headers = { 'x-api-key': key, 'content-type': 'application/json', ...more };
    const answer = await send(
      orchflow.url,
      method,
      target,
      headers,
      typeof body === 'object' && !(body instanceof Blob) ? JSON.stringify(body) : body,
    );
    contract.expectDocumented(method, path!, answer);
    seen.add(`${method} ${path} ${answer.status}`);
    return answer;
  }

  const account = { name: 'Ada', email: `contract.${user.email}` };
  await call('POST', '/api/v1/auth/register', {}, account);
  await call('POST', '/api/v1/auth/register', {}, account);
  await call('GET', '/health');
  await call('GET', '/api/v1/agents/templates');

  await callAccount(call);

  const human_gates = ['the price', { name: 'legal approval', gate_due_in: '7d', on_timeout: 'approve' }];
  const goal = { task: 'Compare three note apps.', ask_me_about: ['the budget'], human_gates, require_approval: true };
  const { run_id } = (await call('POST', '/api/v1/runs', {}, goal)).body;
  const run = '/api/v1/runs/{run_id}';
  const ids = { run_id, task_id: 'T1' };
  await call('POST', '/api/v1/runs', {}, {});
  await call('POST', '/api/v1/runs', {}, { ...goal, provider_id: 'unknown' });
  await call('POST', '/api/v1/providers', {}, { provider: 'gemini', api_key: 'k', replaces: 'unknown' });
  await call('GET', '/api/v1/runs?limit=1');
  for (const path of ['?limit=0', '/counts']) await call('GET', `/api/v1/runs${path}`);
  await call('GET', run, ids);
  for (let waiting: string[] = []; ;) {
    const { body } = await call('GET', run, ids);
    await call('GET', `${run}?live=true`, ids);
    await call('GET', `${run}/tasks`, ids);
    if (body.status === 'completed') break;
    waiting = body.waiting_tasks;
    await call('GET', '/api/v1/runs?limit=1');
    for (const task_id of waiting) {
      const other = { output: 'Ten euros.', gate_id: 'gate_before' };
      const refused = await call('POST', `${run}/tasks/{task_id}/complete`, { run_id, task_id }, other);
      expect(refused.body).toMatchObject({ status: 409, gate_id: expect.stringMatching(/^gate_/) });
      await call('POST', `${run}/tasks/{task_id}/complete`, { run_id, task_id }, {});
      await call('POST', `${run}/tasks/{task_id}/complete`, { run_id, task_id }, { output: 'Ten euros.' });
    }
  }
  await call('GET', `${run}/events`, ids);
  await call('GET', `${run}/events`, ids, undefined, user.api_key, { 'last-event-id': '99-done' });
  await call('GET', `${run}/events?after=x`, ids);
  await callWebhooks(call, orchflow.db, run_id);

  await call('POST', `${run}/tasks/{task_id}/complete`, ids, { output: 'Again.' });
  const fork = (await call('POST', `${run}/rerun`, ids, { from_task: 'T2' })).body.run_id;
  await call('POST', `${run}/rerun`, ids, {});
  await call('POST', `${run}/rerun`, { run_id: fork }, { from_task: 'T3' });
  await call('DELETE', run, { run_id: fork });
  await call('POST', `${run}/rerun`, { run_id: 'unknown' }, { from_task: 'T2' });
  await call('DELETE', run, ids);
  const other = (await call('POST', '/api/v1/runs', {}, goal)).body.run_id;
  for (const how of ['?purge=true', '', '?purge=true', '?purge=yes'])
    await call('DELETE', run + how, { run_id: other });
  await call('GET', '/api/v1/runs?limit=1');

  for (const [method, path] of [
    ['GET', run],
    ['DELETE', run],
    ['GET', `${run}/tasks`],
    ['GET', `${run}/events`],
  ] as const) {
    await call(method, path, { run_id: 'unknown' });
    await call(method, path, ids, undefined, 'no key');
  }
  await call('POST', `${run}/tasks/{task_id}/complete`, { run_id, task_id: 'T99' }, { output: 'x' });
  await callOrchestrations(call);
  const { example } = document.components.schemas.OrchestrationDefinition;
  const validation = await call('POST', '/api/v1/orchestrations/validate', {}, example);
  expect(validation.body).toEqual({ valid: true, errors: [] });
  await callTools(call);
  await callAgents(call);
  await callOrchstackAgents(call);
  await callWorkflows(call);
  await callOrchstackKeys(call, orchflow.url, user.api_key);
  await callFiles(call);
  await callPeople(call);
  await callKnowledge(call);
  await callSteering(call, goal);
  await callOrchagent(call);
  await callCalls(call);
  await callOrchagentUsage(call);

  await callInFlight(call, orchflow.db, run_id, user.api_key);

  // 402, 403, 413, 415, 429 and 503 have the same body; test/quotas and test/api see them.
  const unseen = operations().flatMap(({ method, path, responses }) =>
    Object.keys(responses)
      .filter((status) => ['200', '201', '202', '204', '404', '409', '412'].includes(status))
      .map((status) => `${method} ${path} ${status}`)
      .filter((name) => !seen.has(name)),
  );
  expect(unseen).toEqual([]);
  expect(contract.listUnfollowed()).toEqual([]);
});

describe('/docs', () => {
  test('is a page whose assets we serve ourselves: nothing of it comes from elsewhere', async () => {
    const response = await fetch(`${orchflow.url}/docs`);
    const page = await response.text();
    expect(response.headers.get('content-type')).toContain('text/html');
    expect(response.headers.get('content-security-policy')).toContain("default-src 'self'");
    expect(response.headers.get('content-security-policy')).not.toContain('unsafe');
    expect(page).not.toMatch(/https?:|\/\/|<script>|<style|style=/);

    const assets = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address]) => address!);
    expect(assets.length).toBeGreaterThanOrEqual(3);
    const types: Record<string, string> = { css: 'text/css', js: 'javascript', png: 'image/png' };
    for (const address of assets) {
      const asset = await fetch(orchflow.url + address);
      expect(asset.status, address).toBe(200);
      expect(asset.headers.get('content-type')).toContain(types[address.split('.').at(-1)!]);
      expect((await asset.arrayBuffer()).byteLength).toBeGreaterThan(100);
    }
    const script = await (await fetch(`${orchflow.url}/docs/start.js`)).text();
    expect(script).toContain("url: '/openapi.json'");
    expect(script).not.toContain('persistAuthorization');
  });

  test('gives out its own assets only', async () => {
    for (const path of [
      '..%2f..%2f..%2fpackage.json',
      '..%2Fhono%2Fpackage.json',
      '%2e%2e/hono/package.json',
      '/etc/passwd',
    ]) {
      expect((await fetch(`${orchflow.url}/docs/assets/${path}`)).status, path).toBe(404);
    }
  });
});
