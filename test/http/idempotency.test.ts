import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { sql } from 'kysely';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { runSteps } from '../harness/orchestration.ts';
import { send } from '../harness/raw.ts';

let orchflow: Orchflow;
let user: User;
beforeAll(async () => {
  orchflow = await startOrchflow();
});
afterAll(() => orchflow.stop());
beforeEach(async () => {
  user = await orchflow.register();
});

function post(path: string, body: object, key: string, who = user) {
  const headers = { 'x-api-key': who.api_key, 'content-type': 'application/json', 'idempotency-key': key };
  return send(orchflow.url, 'POST', `/api/v1${path}`, headers, JSON.stringify(body));
}

const runs = async () => (await user.get('/runs')).body.runs as { run_id: string }[];
const goal = { task: 'Write a haiku.' };

/** As if the process had died after its work and before it could keep the answer. */
async function loseAnswers() {
  await orchflow.db
    .updateTable('idempotency_keys')
    .set({ status: null, answer_encrypted: null, locked_until: sql`now() - interval '1 second'` })
    .execute();
}

test('the same key and body get the same answer, and one run', async () => {
  const first = await post('/runs', goal, 'k1');
  const second = await post('/runs', goal, 'k1');
  expect([first.status, second.status]).toEqual([201, 201]);
  expect(second.body).toEqual(first.body);
  expect(second.headers.get('location')).toBe(first.headers.get('location'));
  expect([first.headers.get('idempotency-replayed'), second.headers.get('idempotency-replayed')]).toEqual([
    null,
    'true',
  ]);
  expect(await runs()).toHaveLength(1);
});

test('twenty at once make one run; who does not get its answer is told that it is at work', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => post('/runs', goal, 'k2')));
  const made = answers.filter((answer) => answer.status === 201);
  expect(new Set(made.map((answer) => answer.body.run_id)).size).toBe(1);
  for (const answer of answers.filter((each) => each.status !== 201)) {
    expect(answer).toMatchObject({ status: 409, body: { code: 'IDEMPOTENCY_KEY_IN_FLIGHT' } });
    expect(answer.headers.get('retry-after')).toBe('1');
  }
  expect(await runs()).toHaveLength(1);
});

test('another body or another path with the key is refused; another account is free to use it', async () => {
  await post('/runs', goal, 'k3');
  const other = await post('/runs', { task: 'Write a novel.' }, 'k3');
  expect(other).toMatchObject({ status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } });
  expect((await post('/providers', goal, 'k3')).body.code).toBe('IDEMPOTENCY_KEY_REUSED');
  expect((await post('/runs', goal, 'k3', await orchflow.register())).status).toBe(201);
  expect(await runs()).toHaveLength(1);
});

test('errors of the client are answers too, and a key must be visible ASCII', async () => {
  const first = await post('/runs', { task: '' }, 'k4');
  const second = await post('/runs', { task: '' }, 'k4');
  expect([first.status, second.status]).toEqual([422, 422]);
  expect(second.body).toEqual(first.body);
  expect((await post('/runs', goal, 'ä')).status).toBe(422);
});

test('when the first try died after its work, a retry finds the run, the provider and the answer that it made', async () => {
  const provider = { provider: 'openai', api_key: 'sk-canary-once', label: 'mine' };
  const made = [await post('/runs', { ...goal, ask_me_about: ['x'] }, 'k5'), await post('/providers', provider, 'k6')];
  await loseAnswers();
  const retried = [
    await post('/runs', { ...goal, ask_me_about: ['x'] }, 'k5'),
    await post('/providers', provider, 'k6'),
  ];
  expect(retried.map((answer) => answer.body)).toEqual(made.map((answer) => answer.body));
  expect(await runs()).toHaveLength(1);
  expect((await user.get('/providers')).body.providers).toHaveLength(1);

  const run = user.openRun(made[0]!.body.run_id);
  await run.untilWaiting('T1');
  const path = `/runs/${run.run_id}/tasks/T1/complete`;
  const answered = await post(path, { output: 'Blue.' }, 'k7');
  await loseAnswers();
  const again = await post(path, { output: 'Blue.' }, 'k7');
  expect(again).toMatchObject({ status: 200, body: answered.body });
  // Another person who says the same is too late, also at a second try.
  expect((await post(path, { output: 'Blue.' }, 'k8')).status).toBe(409);
  await loseAnswers();
  expect((await post(path, { output: 'Blue.' }, 'k8')).status).toBe(409);
  await run.until('completed');
});

test('a retry of an answer to an orchestration is not taken for an answer to its next question', async () => {
  const steps = ['first', 'second'].map((id) => ({ id, type: 'human', human_prompt: id, output_key: id }));
  const paused = await runSteps(user, steps);
  const path = `/orchestrations/runs/${paused.body.run_id}/resume`;
  const next = await post(path, { response: 'one' }, 'k10');
  expect(next.body).toMatchObject({ status: 'paused', human_input_required: { step_id: 'second' } });
  await loseAnswers();
  const again = await post(path, { response: 'one' }, 'k10');
  expect(again.body).toEqual(next.body);
});

test('answers are kept encrypted', async () => {
  await post('/providers', { provider: 'openai', api_key: 'sk-canary-once', label: 'canary-label' }, 'k9');
  const rows = await orchflow.db.selectFrom('idempotency_keys').selectAll().execute();
  expect(rows.length).toBeGreaterThan(0);
  expect(JSON.stringify(rows)).not.toContain('canary-label');
});
