import { expect, test } from 'vitest';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { startCommand, tryCommand } from '../harness/command.ts';
import { knowledgeOf } from '../harness/knowledge.ts';
import { until } from '../harness/orchflow.ts';
import { define } from '../harness/orchestration.ts';
import { send } from '../harness/raw.ts';
import { tablesThatSay, tablesWith } from '../harness/rows.ts';
import { useStory } from '../harness/story.ts';
import { upload } from '../harness/upload.ts';

/** `npm run account -- EMAIL --delete`: an operator deletes an account, and all that it has. */

const story = useStory();
const env = () => ({ DATABASE_URL: story.orchflow.env.DATABASE_URL });

const account = (...args: string[]) => tryCommand('account', env(), ...args);

async function accountIdOf(email: string): Promise<string> {
  const { account_id } = await story.orchflow.db
    .selectFrom('accounts')
    .select('account_id')
    .where('email', '=', email)
    .executeTakeFirstOrThrow();
  return account_id;
}

const statusOf = async (run_id: string) =>
  (await story.orchflow.client.workflow.getHandle(run_id).describe()).status.name;

/** One run that has ended, one that waits, one whose calls are in flight, and one of each other thing. */
async function furnish(webhook_url: string) {
  const { orchflow, user, model } = story;
  const { api_key } = user;
  const done = await story.start({}, { task: 'Count every zebra.', webhook_url });
  await done.until('completed');
  const waiting = await story.start({}, { task: 'Ask the zebra.', ask_me_about: ['zebra'], webhook_url });
  await waiting.untilWaiting('T1');
  const hanging = await story.start({ execute: () => ({ hang: 'before_headers' as const }) }, { task: 'Zebras.' });
  await model.until(() => model.openCalls === 3);
  const orchestration = await define(user, [{ id: 'ask', type: 'human', human_prompt: 'Zebra?' }]);
  const paused = await user.post(`/orchestrations/${orchestration}/run`, { message: 'Zebra' });
  const headers = { 'x-api-key': api_key, 'content-type': 'application/json', 'idempotency-key': 'zebra' };
  await send(orchflow.url, 'POST', '/api/v1/runs', headers, JSON.stringify({ task: '' }));
  await user.post('/keys', { name: 'zebra', scopes: ['runs:read'] });
  await user.post('/agents', { name: 'Zebra', system_prompt: 'Count zebras.' });
  const knowledge = knowledgeOf(orchflow.url, user);
  await knowledge.index(await knowledge.create({ name: 'Zebra' }), { content: 'Zebra.', name: 'zebra.md' });
  await user.post('/people', { name: 'Zebra', skills: ['zebra'], notify_url: webhook_url });
  await user.post('/webhooks/secret/rotate', {});
  await upload(orchflow.url, api_key, 'Zebra.', { name: 'zebra.txt' });
  const account_id = await accountIdOf(user.email);
  const { db } = orchflow;
  const server = { account_id, name: 'zebra', url: 'https://mcp.example.com/zebra', tools: '[]' };
  await db.insertInto('mcp_servers').values(server).execute();
  const spent = { month: new Date().toISOString().slice(0, 8) + '01', account_id, cost_usd: 0.25 };
  await db.insertInto('managed_spending').values(spent).execute();
  return { account_id, done: done.run_id, live: [waiting.run_id, hanging.run_id, paused.body.run_id as string] };
}

test('without --yes it says what would be lost; with it all is gone, what lives is ended, and the others have what they had', async () => {
  const { orchflow, user, model } = story;
  const { db } = orchflow;
  const endpoint = await startFakeWebhook();
  const { account_id, done, live } = await furnish(endpoint.url);
  const neighbour = await orchflow.register();
  const provider_id = await neighbour.addProvider(model);
  const theirs = await neighbour.startRun({ task: 'Mine.', provider_id, ask_me_about: ['x'] });
  await theirs.untilWaiting('T1');
  const filled = await tablesWith(db, 'account_id', account_id);
  expect(filled).toEqual(
    expect.arrayContaining(['accounts', 'api_keys', 'idempotency_keys', 'managed_spending', 'mcp_servers', 'people']),
  );

  const asked = await account(user.email, '--delete');
  expect(asked).toMatchObject({ code: 1, stdout: '' });
  expect(asked.stderr).toBe(
    `${user.email} has runs: 4 (not ended: 3), active providers: 1, MCP servers: 1, orchestrations: 1, agents: 1, ` +
      'knowledge bases: 1, files: 2, people: 1. ' +
      'Say it again with --yes, and all of it is deleted, for good.\n',
  );
  expect(await tablesWith(db, 'account_id', account_id)).toEqual(filled);
  expect((await user.get('/runs')).status).toBe(200);

  const deleted = await account(user.email.toUpperCase(), '--delete', '--yes');
  expect(deleted).toMatchObject({ code: 0, stderr: '' });
  expect(deleted.stdout).toContain('is deleted. Runs: 4, of which it has cancelled 3.');
  expect(await tablesWith(db, 'account_id', account_id)).toEqual([]);
  // Definitions are nobody's, and go by themselves.
  expect(await tablesThatSay(db, 'zebra')).toEqual(['definitions']);
  await until(async () => (await user.get('/runs')).status === 401, 'its keys are good for nothing');
  expect((await account(user.email, '--delete', '--yes')).stderr).toBe(`There is no account of ${user.email}.\n`);

  const sent = endpoint.requests.length;
  for (const run_id of [done, ...live]) {
    await until(async () => (await tablesWith(db, 'run_id', run_id)).length === 0, `nothing of ${run_id} is left`);
  }
  expect(await Promise.all(live.map(statusOf))).toEqual(['CANCELLED', 'CANCELLED', 'CANCELLED']);
  await model.untilHungUp();
  const webhooks = `WorkflowType = 'webhookDelivery' and WorkflowId starts_with '${live[0]}' and ExecutionStatus`;
  const count = async (status: string) => (await orchflow.client.workflow.count(`${webhooks} = '${status}'`)).count;
  // Of the pause, and of the end, which finds nobody to tell.
  await until(async () => (await count('Completed')) === 2 && (await count('Running')) === 0, 'its webhooks are done');
  expect(endpoint.requests).toHaveLength(sent);
  const spent = db.selectFrom('managed_spending').select(['account_id', 'cost_usd']);
  expect(await spent.execute()).toEqual([{ account_id: '', cost_usd: '0.25' }]);

  expect(await theirs.get()).toMatchObject({ status: 'waiting_human' });
  expect((await neighbour.get('/providers')).body.providers).toHaveLength(1);
  const again = { name: 'Ada', email: user.email };
  const headers = { 'content-type': 'application/json' };
  expect((await send(orchflow.url, 'POST', '/api/v1/auth/register', headers, JSON.stringify(again))).status).toBe(201);
  await theirs.cancel();
  await endpoint.close();
});

test('killed in the middle, it has let nobody in any more, and goes on when it is said again', async () => {
  const { orchflow, user } = story;
  const { db } = orchflow;
  const endpoint = await startFakeWebhook();
  const { account_id, done, live } = await furnish(endpoint.url);
  await db.transaction().execute(async (lock) => {
    // It comes to this run, and no further.
    const run = lock.selectFrom('runs').select('run_id').where('run_id', '=', live[2]!);
    await run.forUpdate().executeTakeFirstOrThrow();
    const deletion = startCommand('account', env(), user.email, '--delete', '--yes');
    const purged = db.selectFrom('purged_runs').select('run_id').where('account_id', '=', account_id);
    await until(async () => (await purged.execute()).length === 3, 'three of four are purged');
    const ended = new Promise((resolve) => deletion.once('exit', resolve));
    deletion.kill('SIGKILL');
    await ended;
  });
  await until(async () => (await user.get('/runs')).status === 401, 'its keys are good for nothing');
  expect(await tablesWith(db, 'account_id', account_id)).toContain('accounts');
  const again = await account(user.email, '--delete', '--yes');
  expect(again).toMatchObject({ code: 0, stderr: '' });
  expect(again.stdout).toContain('is deleted. Runs: 1, of which it has cancelled 1.');
  expect(await tablesWith(db, 'account_id', account_id)).toEqual([]);
  for (const run_id of [done, ...live]) {
    await until(async () => (await tablesWith(db, 'run_id', run_id)).length === 0, `nothing of ${run_id} is left`);
  }
  await story.model.untilHungUp();
  await endpoint.close();
});
