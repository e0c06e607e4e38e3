import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { findBundle } from '../../db/bundles.ts';
import { createAgents, expectError, type Agents } from '../harness/orchagent.ts';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { send } from '../harness/raw.ts';
import { bytesOf } from '../harness/upload.ts';
import { zipOf } from '../harness/zip.ts';

/** The code of agents as it is published: sent, given out, and taken over. */

let orchflow: Orchflow;
let user: User;
let agents: Agents;

beforeAll(async () => {
  orchflow = await startOrchflow({
    worker: false,
    environment: { MAX_FILE_BYTES_PER_ACCOUNT: '3000', SANDBOX_MAX_SECONDS: '900' },
  });
});
beforeEach(async () => {
  user = await orchflow.register();
  agents = createAgents(orchflow.url, user);
});
afterAll(() => orchflow.stop());

test('code is sent once to a version, and is there as it was sent for whom it is meant', async () => {
  const { agent } = await agents.publish({ name: 'coder', type: 'tool', is_public: true });
  const path = `/agents/${agent.id}`;
  const archive = zipOf([{ name: 'main.py', content: 'print(1)' }]);
  const put = (content: Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}, id = agent.id) => {
    const form = bytesOf(content);
    const all = { authorization: `Bearer ${user.api_key}`, ...form.headers, ...headers };
    return send(orchflow.url, 'POST', `/agents/${id}/upload`, all, form.body);
  };
  expectError(await agents.get(`${path}/bundle`), 'NOT_FOUND', 404);
  expectError(await put(new Uint8Array([1, 2, 3])), 'UNPROCESSABLE', 422);
  expectError(await put(zipOf([{ name: '../x.py', content: '' }])), 'UNPROCESSABLE', 422);
  expectError(await put(archive, { 'x-entrypoint': '../main.py' }), 'INVALID_INPUT', 400);
  const missing = expectError(await put(archive, { 'x-entrypoint': 'src/run.py' }), 'UNPROCESSABLE', 422);
  expect([missing.reason, missing.message]).toEqual(['BUNDLE_INVALID', expect.stringContaining('"src/run.py"')]);
  const { agent: commanded } = await agents.publish({
    name: 'c',
    type: 'tool',
    runtime: { command: 'python3 a.py -v' },
  });
  expect(expectError(await put(archive, {}, commanded.id), 'UNPROCESSABLE', 422).message).toContain('"a.py"');
  expectError(await agents.post(`${path}/upload`, {}), 'UNSUPPORTED_TYPE', 415);
  const { body } = await put(archive, { 'x-entrypoint': 'main.py' });
  const code_hash = sha256(archive);
  expect(body).toMatchObject({ success: true, code_hash, bundle_size_bytes: archive.length });
  expect((await put(archive, { 'x-entrypoint': 'main.py' })).body).toEqual(body);
  const other = zipOf([{ name: 'main.py', content: 'print(2)' }]);
  expect(expectError(await put(other), 'CONFLICT', 409).reason).toBe('CODE_NOT_TAKEN');
  expect(await findBundle(orchflow.db, sha256(other))).toBeUndefined();
  const code = { code_hash, entrypoint: 'main.py', bundle_size_bytes: archive.length };
  expect((await agents.get(path)).body).toMatchObject({ ...code, code_bundle_url: `${path}/bundle` });
  const bytes = async (at: string, key?: string) => {
    const response = await fetch(orchflow.url + at, key ? { headers: { 'x-api-key': key } } : {});
    return { type: response.headers.get('content-type'), hash: sha256(await response.bytes()) };
  };
  const whole = { type: 'application/octet-stream', hash: code_hash };
  expect(await bytes(`${path}/bundle`, user.api_key)).toEqual(whole);
  const open = `/public/agents/${await agents.slug()}/coder/latest`;
  expectError(await send(orchflow.url, 'GET', `${open}/bundle`), 'DOWNLOAD_DISABLED', 403);
  await agents.patch(path, { allow_local_download: true });
  expect(await bytes(`${open}/bundle`)).toEqual(whole);
  expect((await send(orchflow.url, 'GET', `${open}/download`)).body.has_bundle).toBe(true);
  // Another version of the same code has it; one that is published anew is given its own.
  expect((await agents.patch(path, { description: 'Codes.' })).body).toMatchObject({ version: 'v2', ...code });
  const { agent: third } = await agents.publish({ name: 'coder', type: 'tool' });
  expect(third.code_hash).toBeNull();
  const large = Buffer.from(zipOf([{ name: 'main.py', content: randomBytes(3_000) }]));
  const { message } = expectError(await put(large, {}, third.id), 'RATE_LIMITED', 429);
  expect(message).toContain(`may have 3000 bytes together, and have ${archive.length}`);
  expect((await put(other, {}, third.id)).status).toBe(200);
  const { agent: prompt } = await agents.publish({ name: 'reader' });
  expectError(await put(archive, {}, prompt.id), 'CONFLICT', 409);
});

test('whoever publishes code is told when this server gives it less time', async () => {
  const slow = { name: 'slow', timeout_seconds: 901 };
  const told = ['timeout_seconds is 901, and this server ends code after 900 seconds.'];
  expect((await agents.post('/agents/validate', { ...slow, type: 'tool' })).body.warnings).toEqual(told);
  const { agent, warnings } = await agents.publish({ ...slow, type: 'tool' });
  expect(warnings).toEqual(told);
  expect((await agents.patch(`/agents/${agent.id}`, { timeout_seconds: 900 })).body.warnings ?? []).toEqual([]);
  // No code of it runs.
  expect((await agents.publish({ ...slow, name: 'prompt' })).warnings).toEqual([]);
});

test('the code of a fork counts with whoever takes it over, and there must be room for it', async () => {
  const { agent } = await agents.publish({ name: 'coder', type: 'tool', is_public: true, allow_local_download: true });
  const large = { code_hash: 'b'.repeat(64), bundle_size_bytes: 2_000, entrypoint: 'main.py' };
  await orchflow.db.updateTable('agent_versions').set(large).where('version_id', '=', agent.id).execute();
  const stranger = createAgents(orchflow.url, await orchflow.register());
  const { agent: own } = await stranger.publish({ name: 'own', type: 'tool' });
  const before = { ...large, code_hash: 'c'.repeat(64) };
  await orchflow.db.updateTable('agent_versions').set(before).where('version_id', '=', own.id).execute();
  const path = `/agents/${agent.id}/fork`;
  const { message } = expectError(await stranger.post(path), 'RATE_LIMITED', 429);
  expect(message).toContain('may have 3000 bytes together, and have 2000');
  expect((await stranger.get('/agents')).body).toHaveLength(1);
  // What is there already takes no more room.
  expect((await agents.post(path, { new_name: 'again' })).status).toBe(200);
  expect((await stranger.delete(`/agents/${own.id}`)).status).toBe(200);
  expect((await stranger.post(path)).body.agent).toMatchObject({ name: 'coder', ...large });
});

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
