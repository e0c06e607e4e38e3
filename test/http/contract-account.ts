import type { Call } from './contract.ts';

/** Calls every operation on providers and keys, with each of its outcomes. */
export async function callAccount(call: Call): Promise<void> {
  const { provider_id } = (await call('POST', '/api/v1/providers', {}, { provider: 'gemini', api_key: 'k' })).body;
  await call('POST', '/api/v1/providers', {}, { provider: 'gemini' });
  await call('GET', '/api/v1/providers');

  const key = '/api/v1/keys/{key_id}';
  const made = (await call('POST', '/api/v1/keys', {}, { name: 'Another', scopes: ['*'] })).body;
  const first = (await call('GET', '/api/v1/keys')).body.keys.at(-1);
  await call('DELETE', key, made);
  await call('DELETE', key, made);
  await call('DELETE', key, first);
  await call('POST', '/api/v1/keys', {}, {});
  await call('DELETE', '/api/v1/providers/{provider_id}', { provider_id });
  await call('DELETE', '/api/v1/providers/{provider_id}', { provider_id });
}
