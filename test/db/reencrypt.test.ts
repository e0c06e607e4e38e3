import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { mcpKey, startFakeMcp } from '../fakes/mcp.ts';
import { startFakeModel } from '../fakes/model.ts';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { runCommand } from '../harness/command.ts';
import { startOrchflow, until } from '../harness/orchflow.ts';
import { scriptRun } from '../harness/script.ts';
import { subscribe } from '../harness/subscription.ts';

test('the key is changed without a pause: both read, reencrypt, and the new one alone reads what the old one wrote', async () => {
  const [oldKey, newKey] = [randomBytes(32), randomBytes(32)].map((key) => key.toString('base64'));
  const orchflow = await startOrchflow({ environment: { ENCRYPTION_KEY: `${newKey},${oldKey}` } });
  const { DATABASE_URL } = orchflow.env as { DATABASE_URL: string };
  const reencrypt = (ENCRYPTION_KEY: string) =>
    runCommand('reencrypt', { DATABASE_URL, ENCRYPTION_KEY }).then(({ stdout }) => stdout);
  const [user, model] = await Promise.all([orchflow.register(), startFakeModel()]);
  scriptRun(model);
  const provider_id = await user.addProvider(model, 'openai', { api_key: 'sk-canary-rotated' });

  const mcp = await startFakeMcp(() => 'Rain.');
  const headers = { Authorization: mcpKey };
  expect((await user.post('/tools/mcp', { name: 'weather', url: mcp.url, headers })).status).toBe(201);

  expect((await user.post('/webhooks/secret/rotate', {})).status).toBe(200);
  const endpoint = await startFakeWebhook();
  const { subscription_id, secret } = await subscribe(user, endpoint, { events: ['run.retried'] });
  const subscription = `/webhooks/subscriptions/${subscription_id}`;
  const { body: rotated } = await user.post(`${subscription}/rotate-secret`, {});

  // As they were before the change.
  await reencrypt(`${oldKey},${newKey}`);
  const before = await orchflow.db.selectFrom('providers').select('api_key_encrypted').executeTakeFirstOrThrow();
  const task = 'Write a haiku.';
  await (await user.startRun({ task, provider_id })).until('completed');

  expect(await reencrypt(`${newKey},${oldKey}`)).toBe('6 of 6 secrets encrypted anew.\n');
  expect(await reencrypt(newKey!)).toBe('0 of 6 secrets encrypted anew.\n');
  const after = await orchflow.db.selectFrom('providers').select('api_key_encrypted').executeTakeFirstOrThrow();
  expect(after.api_key_encrypted).not.toBe(before.api_key_encrypted);
  await (await user.startRun({ task, provider_id })).until('completed');
  expect(new Set(model.calls.map((call) => call.api_key))).toEqual(new Set(['sk-canary-rotated']));
  const call = { call: [{ name: 'weather__forecast', arguments: { city: 'Rome' } }] };
  model.on(({ tools, calls }) => (tools.length && !calls.length ? call : undefined));
  const agents = [{ name: 'writer', tools: ['weather.forecast'] }];
  await (await user.startRun({ task, agents, provider_id })).until('completed');
  expect(mcp.calls.length).toBeGreaterThan(0);
  await user.post(`${subscription}/test`, {});
  await until(() => endpoint.requests.length === 1, 'the subscription is told');
  const { body, headers: signed } = endpoint.requests[0]!;
  for (const one of [secret, rotated.secret]) new Webhook(one).verify(body, signed as Record<string, string>);
  mcp.down();
  await expect(reencrypt(oldKey!)).rejects.toThrow(/ENCRYPTION_KEY cannot open 6 of the secrets/);
  await Promise.all([orchflow.stop(), model.close(), endpoint.close()]);
});
