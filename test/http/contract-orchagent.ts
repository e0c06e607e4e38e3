import { bytesOf } from '../harness/upload.ts';
import { zipOf } from '../harness/zip.ts';
import type { Call } from './contract.ts';

const nowhere = { version_id: '00000000-0000-4000-8000-000000000000', key_id: 'key_unknown' };

/** Calls every operation of orchagent's catalogue, with each of its outcomes. */
export async function callOrchagent(call: Call): Promise<void> {
  for (const path of ['/org', '/users/me', '/workspaces', '/agents', '/agents/preview?name=reader', '/api-keys']) {
    await call('GET', path);
    await call('GET', path, {}, undefined, undefined, { 'x-workspace-id': 'unknown' });
  }
  const org = (await call('PATCH', '/org', {}, { name: 'Ada Inc.' })).body.slug;
  await call('PATCH', '/org', {}, { slug: 'api' });
  for (const path of ['/org', '/workspaces', '/agents', '/api-keys', '/agents/validate']) {
    const method = path === '/org' ? 'PATCH' : 'POST';
    await call(method, path, {}, {}, undefined, { 'x-workspace-id': 'unknown' });
  }
  await call('POST', '/workspaces', {}, { name: 'Other' });
  await call('POST', '/auth/cli-logout');

  const offered = { name: 'reader', prompt: 'You read.', is_public: true, allow_local_download: true, type: 'tool' };
  const { id: version_id } = (await call('POST', '/agents', {}, offered)).body.agent;
  for (const body of [offered, { name: 'reader' }]) await call('POST', '/agents/validate', {}, body);
  await call('POST', '/agents', {}, {});
  await call('POST', '/agents', {}, { name: 'other' });
  await call('GET', '/agents');
  const one = '/agents/{version_id}';
  const own = { version_id, org, agent: 'reader', version: 'v1' };
  await call('PATCH', one, own, { tags: ['pdf'], manifest: { dependencies: [{ id: 'acme/other', version: 'v1' }] } });
  await call('PATCH', one, own, { name: 'other' });
  const { body } = await call('POST', `${one}/keys`, own);
  const key = { ...own, key_id: body.id };
  const code = bytesOf(zipOf([{ name: 'main.py', content: 'print(1)' }]));
  for (const id of [version_id, nowhere.version_id]) {
    await call('POST', `${one}/upload`, { version_id: id }, code.body, undefined, code.headers);
    await call('GET', `${one}/bundle`, { version_id: id });
  }
  const other = bytesOf(zipOf([{ name: 'main.py', content: 'print(2)' }]));
  await call('POST', `${one}/upload`, own, other.body, undefined, other.headers);
  await call('GET', '/public/agents');
  await call('GET', '/public/agents?sort=best');
  const named = [
    ['GET', '/public/agents/{org}/{agent}/{version}'],
    ['GET', '/public/agents/{org}/{agent}/{version}/download'],
    ['GET', '/public/agents/{org}/{agent}/{version}/cost-estimate'],
    ['GET', '/public/agents/{org}/{agent}/{version}/bundle'],
    ['GET', '/agents/{org}/{agent}/{version}/tree'],
    ['POST', '/agents/{org}/{agent}/{version}/install'],
  ] as const;
  for (const [method, path] of named) {
    for (const version of ['v1', 'v9']) await call(method, path, { ...own, version });
  }
  await call('POST', `${one}/fork`, own, { new_name: 'copy' });
  await call('POST', `${one}/fork`, own, { new_name: 'copy' });
  const operations = [
    ['GET', one],
    ['PATCH', one, { callable: false }],
    ['GET', `${one}/keys`],
    ['POST', `${one}/keys`],
    ['DELETE', `${one}/keys/{key_id}`],
    ['POST', `${one}/fork`, { new_name: 'more' }],
    ['GET', `${one}/transfer-check`],
    ['POST', `${one}/transfer`, {}],
    ['GET', `${one}/delete-check`],
    ['DELETE', `${one}?confirmation_name=reader`],
  ] as const;
  for (const ids of [key, nowhere]) {
    for (const [method, path, sent] of operations) await call(method, path, ids, sent);
  }
  const { id: key_id } = (await call('POST', '/api-keys', {}, { name: 'Laptop', scopes: ['runs:read'] })).body;
  await call('POST', '/api-keys', {}, { scopes: ['runs:fly'] });
  const { keys } = (await call('GET', '/api-keys')).body;
  const ids = keys.map(({ id }: { id: string }) => id);
  for (const one of [key_id, key_id]) await call('DELETE', '/api-keys/{key_id}', { key_id: one });
  // The last that may do everything stays.
  const all = keys.filter(({ scopes }: { scopes: string[] }) => scopes.includes('*'));
  if (all.length === 1) await call('DELETE', '/api-keys/{key_id}', { key_id: all[0].id });
  else throw new Error(`Some keys may do everything: ${ids}`);
}
