import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDb, type Db } from '../../db/index.ts';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import { createEnvironment, createUser, until, type User } from '../harness/orchflow.ts';
import { startSteps } from '../harness/orchestration.ts';
import { addPerson, untilAssigned } from '../harness/people.ts';
import { endProcesses, startApiProcess, startWorkerHere, startWorkerProcess } from '../harness/processes.ts';

/** API and worker are killed while gates are assigned, and people told. */

let env: Record<string, string>;
let db: Db;
let model: FakeModel;
let hook: FakeWebhook;
let user: User;
let api: Awaited<ReturnType<typeof startApiProcess>>;

beforeEach(async () => {
  [model, hook] = await Promise.all([startFakeModel(), startFakeWebhook()]);
  env = await createEnvironment();
  db = createDb(env.DATABASE_URL!, 2);
  api = await startApiProcess(env);
  user = await api.register();
});
afterEach(() =>
  db
    .destroy()
    .then(() => hook.close())
    .finally(() => endProcesses(model)),
);

async function ask(): Promise<string> {
  const step = { id: 'ask', type: 'human', human_prompt: 'Is it legal?', skills: ['legal'] };
  const { status, body } = await startSteps(user, [step], {});
  expect([200, 202], JSON.stringify(body)).toContain(status);
  return body.run_id;
}

/** Another API, for the same user. */
async function startApi(): Promise<void> {
  api = await startApiProcess(env);
  user = createUser(api.url, user.api_key, user.webhook_secret, user.email);
}

const assignments = (run_id: string) =>
  db
    .selectFrom('run_events')
    .select('data')
    .where('run_id', '=', run_id)
    .where('type', '=', 'gate.assigned')
    .orderBy('seq')
    .execute();

test('a worker killed after it has assigned a gate, and before anybody is told: the next one tells, once', async () => {
  await hook.down();
  const anna = await addPerson(user, api.url, { skills: ['legal'], notify_url: hook.url });
  const worker = await startWorkerProcess(env);
  const run_id = await ask();
  const gate = await untilAssigned(user, run_id, 'ask', anna.person_id);
  await worker.kill();
  await hook.up();
  expect(hook.requests).toEqual([]);
  // What was under way is due again at once.
  await db.updateTable('webhook_deliveries').set({ next_attempt_at: new Date().toISOString() }).execute();
  await startWorkerHere(env);
  await until(() => hook.requests.length > 0, 'Anna is told');
  expect(JSON.parse(hook.requests[0]!.body)).toMatchObject({ type: 'gate.assigned', gate_id: gate.gate_id });
  expect((await anna.post(`/runs/${run_id}/tasks/ask/complete`, { output: 'Yes.' })).status).toBe(200);
  await user.openRun(run_id).until('completed');
  expect(hook.requests).toHaveLength(1);
  expect(await assignments(run_id)).toHaveLength(1);
});

test('an API killed after somebody was removed, or a person was added, and before it has looked: another one does', async () => {
  await startWorkerHere(env);
  const anna = await addPerson(user, api.url, { skills: ['legal'] });
  const run_id = await ask();
  await untilAssigned(user, run_id, 'ask', anna.person_id);
  const { account_id } = await db.selectFrom('people').select('account_id').executeTakeFirstOrThrow();
  await api.kill();
  // What it had committed.
  await db.deleteFrom('people').where('person_id', '=', anna.person_id).execute();
  await startApi();
  await untilAssigned(user, run_id, 'ask', null);
  await api.kill();
  const ben = { person_id: 'per_ben', account_id, name: 'Ben', skills: ['legal'], notify_url: hook.url };
  await db.insertInto('people').values(ben).execute();
  await startApi();
  await untilAssigned(user, run_id, 'ask', 'per_ben');
  await until(() => hook.requests.length === 1, 'Ben is told');
  expect((await assignments(run_id)).map(({ data }) => data.person_id)).toEqual([anna.person_id, 'per_ben']);
});

test('several APIs that look at the same time give each gate once, and nobody more than they may have', async () => {
  await startWorkerHere(env);
  await Promise.all([startApiProcess(env), startApiProcess(env)]);
  const run_ids: string[] = [];
  for (let asked = 0; asked < 4; asked += 1) run_ids.push(await ask());
  for (const run_id of run_ids) await untilAssigned(user, run_id, 'ask', null);
  const anna = await addPerson(user, api.url, { skills: ['legal'], max_open: 3 });
  const open = async () => (await user.get(`/people/${anna.person_id}`)).body.open_gates;
  await until(async () => (await open()) === 3, 'she has three');
  const told = (await Promise.all(run_ids.map(assignments))).map((events) => events.length);
  expect(told.toSorted((a, b) => a - b)).toEqual([0, 1, 1, 1]);
});
