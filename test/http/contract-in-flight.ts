import type { Db } from '../../db/index.ts';
import { getAccountOf } from '../../db/runs.ts';
import { sha256 } from '../../src/crypto.ts';
import type { Call } from './contract.ts';

const targets: Record<string, string> = {
  orch_id: 'orch-research-report',
  subscription_id: 'sub_1',
  person_id: 'per_1',
  agent_id: 'agt_1',
  run_id: 'run_1',
  gate_id: 'gate_1',
  workflow_id: 'orch_1',
  knowledge_id: 'kb_1',
  workspace_id: 'unknown',
  version_id: '00000000-0000-4000-8000-000000000000',
  org: 'acme',
  agent: 'reader',
  version: 'v1',
};

/** What is answered to these depends on the scopes of the key. */
const ofScopes =
  /^\/(api\/v1\/(keys|people|agents$)|v1\/(api-keys|agents$)|api-keys|workspaces$|agents(\/[\w-]+\/(keys|transfer))?$)/;

/** Calls operations with an `Idempotency-Key` whose first request is at work. The run is one of the account that calls. */
export async function callInFlight(call: Call, db: Db, run_id: string, api_key: string): Promise<void> {
  const account_id = (await getAccountOf(db, run_id))!;
  const ids: Record<string, string> = { ...targets, delivery_id: `msg_${run_id}_1` };
  for (const template of [
    '/api/v1/runs',
    '/api/v1/providers',
    '/api/v1/orchestrations/validate',
    '/api/v1/orchestrations/{orch_id}/run',
    '/api/v1/orchestrations/{orch_id}/run/stream',
    '/api/v1/tools/mcp',
    '/api/v1/webhooks/secret/rotate',
    '/api/v1/webhooks/deliveries/{delivery_id}/redeliver',
    '/api/v1/webhooks/subscriptions',
    '/api/v1/webhooks/subscriptions/{subscription_id}/rotate-secret',
    '/api/v1/webhooks/subscriptions/{subscription_id}/test',
    '/api/v1/keys',
    '/api/v1/people',
    '/api/v1/people/{person_id}/key',
    '/api/v1/agents',
    '/api/v1/agents/{agent_id}/runs',
    '/v1/agents',
    '/v1/agents/{agent_id}/run',
    '/v1/runs/{run_id}/gates/{gate_id}',
    '/v1/workflows/{workflow_id}/execute',
    '/v1/webhooks',
    '/v1/batch',
    '/v1/api-keys',
    '/v1/oauth/clients',
    '/v1/knowledge',
    '/v1/knowledge/{knowledge_id}/search',
    '/workspaces/{workspace_id}/runs/{run_id}/replay',
    '/workspaces',
    '/agents',
    '/agents/validate',
    '/agents/{version_id}/keys',
    '/agents/{version_id}/transfer',
    '/agents/{org}/{agent}/{version}/install',
    '/api-keys',
  ]) {
    const path = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => ids[name]!);
    const fingerprint = sha256(`POST\n${path}\n{}${ofScopes.test(path) ? '\n*' : ''}`);
    const locked_until = new Date(Date.now() + 60_000).toISOString();
    const row = { account_id, idempotency_key: path, fingerprint, locked_until };
    await db.insertInto('idempotency_keys').values(row).execute();
    await call('POST', template, ids, {}, api_key, { 'idempotency-key': path });
  }
  // Of a call it is what was sent without its credentials.
  const { slug: org } = (await call('GET', '/org')).body;
  const path = `/${org}/called/v1/run`;
  const said = JSON.stringify({ input: {}, files: [], skills: { add: [], none: false } });
  const locked_until = new Date(Date.now() + 60_000).toISOString();
  const row = { account_id, idempotency_key: path, fingerprint: sha256(`POST\n${path}\n${said}`), locked_until };
  await db.insertInto('idempotency_keys').values(row).execute();
  const named = { org, agent: 'called', version: 'v1', endpoint: 'run' };
  const headers = { 'idempotency-key': path };
  await call('POST', '/{org}/{agent}/{version}/{endpoint}', named, {}, api_key, headers);
}
