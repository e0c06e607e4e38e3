import { discover, letIn, registerClient } from '../harness/oauth.ts';
import type { Call } from './contract.ts';

/** Calls every operation of OrchStack on keys and OAuth clients, with each of its outcomes. */
export async function callOrchstackKeys(call: Call, url: string, api_key: string): Promise<void> {
  const keys = '/v1/api-keys';
  const key = `${keys}/{key_id}`;
  const { key_id } = (await call('POST', keys, {}, { name: 'Tests', scopes: ['*'], mode: 'test' })).body;
  await call('POST', keys, {}, { name: 'Live', scopes: ['runs:read'] });
  await call('POST', keys, {}, { name: 'Live', scopes: ['runs:fly'] });
  for (const query of ['', '?limit=1&sort=created_at', '?mode=test&fields=name', '?fields=nosuch', '?cursor=x']) {
    await call('GET', keys + query);
  }
  const first = (await call('GET', `${keys}?sort=created_at&limit=1`)).body.api_keys[0];
  await call('DELETE', key, first);

  const clients = '/v1/oauth/clients';
  const client = `${clients}/{client_id}`;
  const wanted = { name: 'Acme', redirect_uris: ['https://app.example.com/callback'], scopes: ['runs:read'] };
  const { client_id } = (await call('POST', clients, {}, wanted)).body;
  await call('POST', clients, {}, { ...wanted, type: 'public' });
  await call('POST', clients, {}, { ...wanted, redirect_uris: ['http://app.example.com'] });
  for (const query of ['', '?limit=1&sort=created_at', '?type=public&fields=name', '?sort=name']) {
    await call('GET', clients + query);
  }
  const letBy = await registerClient(url, { api_key });
  await letIn(await discover(url, letBy), api_key);
  const grants = '/v1/oauth/grants';
  for (const query of ['?limit=1&sort=created_at', '?fields=name', '?sort=name']) await call('GET', grants + query);
  const { grant_id } = (await call('GET', grants)).body.grants[0];
  for (let left = 2; left > 0; left -= 1) await call('DELETE', `${grants}/{grant_id}`, { grant_id });
  for (const method of ['GET', 'DELETE', 'GET', 'DELETE']) {
    await call(method, key, { key_id });
    await call(method, client, { client_id });
  }
}
