import { expect, test } from 'vitest';
import { until } from '../harness/orchflow.ts';
import { useStory } from '../harness/story.ts';

/** Addresses with a password that were stored before they were refused: nobody reads it, wherever they are told of. */

const story = useStory();
const password = 'hunter2-in-url';
const inUrl = `http://me:${password}@127.0.0.1:9/hook`;
const shown = 'http://***@127.0.0.1:9/hook';

test('of a provider', async () => {
  const { db } = story.orchflow;
  const { user, provider_id } = story;
  await db.updateTable('providers').set({ base_url: inUrl }).where('provider_id', '=', provider_id).execute();
  const { providers } = (await user.get('/providers')).body;
  expect(providers).toMatchObject([{ base_url: shown }]);

  const run = await user.startRun({ task: 'x', provider_id });
  const waiting = await run.until(({ status }) => status === 'waiting_human' || status === 'failed');
  expect(JSON.stringify(waiting)).toContain('user name or password');
  const events = await db.selectFrom('run_events').select('data').where('run_id', '=', run.run_id).execute();
  for (const told of [waiting, events]) expect(JSON.stringify(told)).not.toContain(password);
  await run.cancel();
});

test('of an MCP server', async () => {
  const { user, orchflow } = story;
  const { account_id } = await orchflow.db
    .selectFrom('providers')
    .select('account_id')
    .where('provider_id', '=', story.provider_id)
    .executeTakeFirstOrThrow();
  const tools = [{ name: 'forecast', description: 'It.', json_schema: { type: 'object', properties: {} } }];
  const server = { account_id, name: 'weather', url: inUrl, tools: JSON.stringify(tools) };
  await orchflow.db.insertInto('mcp_servers').values(server).execute();
  expect((await user.get('/tools/mcp')).body.servers).toMatchObject([{ url: shown }]);

  const agents = [{ name: 'researcher', tools: ['weather.forecast'] }];
  const call = { call: [{ name: 'weather__forecast', arguments: {} }] };
  const run = await story.start(
    { execute: ({ calls: [made], tools: offered }) => made?.result ?? (offered.length ? call : undefined) },
    { agents },
  );
  const done = await run.until('completed');
  expect(done.tasks[0]!.output).toContain('user name or password');
  expect(JSON.stringify(done)).not.toContain(password);
});

test('of webhooks', async () => {
  const { user, orchflow } = story;
  const gate = { name: 'sign-off', on_timeout: 'escalate', gate_due_in: '30d', escalation_webhook_url: shown };
  const run = await story.start(
    {},
    { webhook_url: 'http://127.0.0.1:9/hook', ask_me_about: ['x'], human_gates: ['sign-off'] },
  );
  await run.untilWaiting('T1');
  const human_gates = JSON.stringify(['other', { ...gate, escalation_webhook_url: inUrl }]);
  await orchflow.db
    .updateTable('runs')
    .set({ webhook_url: inUrl, escalation_webhook_url: inUrl, human_gates })
    .where('run_id', '=', run.run_id)
    .execute();
  const path = `/webhooks/deliveries?run_id=${run.run_id}`;
  await until(async () => (await user.get(path)).body.deliveries[0]?.last_response, 'the first attempt');
  const [{ delivery_id }] = (await user.get(path)).body.deliveries;
  await user.post(`/webhooks/deliveries/${delivery_id}/redeliver`, {});
  await until(async () => (await user.get(path)).body.deliveries[0].status === 'failed', 'the refusal');
  const log = (await user.get(path)).body;
  expect(log.deliveries[0].last_response).toBe('A URL must not carry a user name or password.');

  const view = await run.get();
  expect(view).toMatchObject({ webhook_url: shown, escalation_webhook_url: shown, human_gates: ['other', gate] });
  for (const told of [log, view]) expect(JSON.stringify(told)).not.toContain(password);
  await run.cancel();
});
