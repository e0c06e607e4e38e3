import { expect, test } from 'vitest';
import { sql } from 'kysely';
import type { GateState } from '../../workflows/contract/states.ts';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { tryCommand } from '../harness/command.ts';
import { createUser, until } from '../harness/orchflow.ts';
import { define, runSteps } from '../harness/orchestration.ts';
import { expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';
import { useStory } from '../harness/story.ts';

/** What an operator does with an account: `npm run account`. */

const story = useStory();

const account = (...args: string[]) =>
  tryCommand('account', { DATABASE_URL: story.orchflow.env.DATABASE_URL }, ...args);

/** Suspends the account of the story, or ends that, and waits until the API knows it. */
async function set(how: '--suspend' | '--resume', status: number): Promise<void> {
  expect(await account(story.user.email.toUpperCase(), how)).toMatchObject({ code: 0, stderr: '' });
  await until(async () => (await story.user.get('/runs')).status === status, `requests are answered ${status}`);
}

const isHeld = async (workflow_id: string) => {
  const { raw } = await story.orchflow.client.workflow.getHandle(workflow_id).describe();
  return (raw.pendingActivities ?? []).some(
    ({ lastFailure }) => lastFailure?.applicationFailureInfo?.type === 'AccountSuspended',
  );
};

async function hasPaused(workflow_id: string): Promise<boolean> {
  const { events } = await story.orchflow.client.workflow.getHandle(workflow_id).fetchHistory();
  return (events ?? []).some(
    ({ activityTaskFailedEventAttributes: failed }) =>
      failed?.failure?.applicationFailureInfo?.type === 'AccountSuspended',
  );
}

test('an account that is suspended is answered nothing, its runs and webhooks wait, and go on when it is resumed', async () => {
  const { orchflow, user, model } = story;
  const hook = await startFakeWebhook();
  const run = await story.start({}, { ask_me_about: ['the budget'], webhook_url: hook.url });
  await run.untilWaiting('T1');
  await until(() => hook.requests.length === 1, 'the first webhook has come');
  const { delivery_id } = (await user.get('/webhooks/deliveries')).body.deliveries[0];
  await until(
    async () => (await user.get('/webhooks/deliveries')).body.deliveries[0].status === 'delivered',
    'the delivery is noted',
  );
  // A step has two seconds, and waits longer.
  const id = await define(user, [
    { id: 'ask', type: 'human', human_prompt: 'What?' },
    { id: 'say', type: 'llm', prompt_template: 'Say it.', timeout_seconds: 2, output_key: 'said' },
    { id: 'sum', type: 'transform', transform_code: '1 + 1', output_key: 'sum' },
  ]);
  const paused = await user.post(`/orchestrations/${id}/run`, { message: 'Go.', provider_id: story.provider_id });
  expect(paused.body, JSON.stringify(paused.body)).toMatchObject({ status: 'paused' });
  const { run_id } = paused.body;

  await orchflow.stopWorker();
  expect((await run.complete('T1', { output: 'Ten euros.' })).status).toBe(200);
  await user.post(`/orchestrations/runs/${run_id}/resume?wait=0`, { response: 'This.' });
  expect((await user.post(`/webhooks/deliveries/${delivery_id}/redeliver`, {})).status).toBe(200);
  await set('--suspend', 403);
  const asked = model.calls.length;
  await orchflow.startWorker();

  for (const [method, where] of [
    ['GET', `/runs/${run.run_id}`],
    ['POST', '/runs'],
    ['DELETE', `/runs/${run.run_id}`],
    ['GET', '/keys'],
    ['POST', '/orchestrations/validate'],
  ] as const) {
    const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json' };
    expectProblem(await send(orchflow.url, method, `/api/v1${where}`, headers), {
      status: 403,
      code: 'ACCOUNT_SUSPENDED',
    });
  }
  await until(() => isHeld(run.run_id), 'the run of a goal waits');
  await until(() => hasPaused(run_id), 'the step with its time waits');
  expect(model.calls.length).toBe(asked);
  expect(hook.requests).toHaveLength(1);

  const other = await orchflow.register();
  expect((await other.get('/runs')).status).toBe(200);

  await set('--resume', 200);
  await run.until('completed');
  await until(
    async () => (await user.get(`/orchestrations/runs/${run_id}`)).body.status === 'completed',
    'it has ended',
  );
  expect((await user.get(`/orchestrations/runs/${run_id}`)).body).toMatchObject({ shared_state: { sum: 2 } });
  await until(
    () => hook.requests.filter(({ headers }) => headers['webhook-id'] === delivery_id).length === 2,
    'it is sent again',
  );
  await until(() => hook.requests.some(({ payload }) => payload.event === 'completed'), 'the last webhook has come');
  await hook.close();
});

test('a call of a tool waits where no clock runs', async () => {
  const { orchflow, user, model } = story;
  model.on(() => ({ call: [{ name: 'run_javascript', arguments: { code: '2' } }] }));
  const paused = await runSteps(user, [
    { id: 'sum', type: 'tool', forced_tool: 'run_javascript', require_approval: true, output_key: 'sum' },
  ]);
  const { run_id } = paused.body;
  await orchflow.stopWorker();
  await user.post(`/orchestrations/runs/${run_id}/resume?wait=0`, { response: 'approve' });
  await set('--suspend', 403);
  await orchflow.startWorker();
  await until(() => hasPaused(run_id), 'the workflow waits, and not Temporal');
  await set('--resume', 200);
  await until(async () => (await user.get(`/orchestrations/runs/${run_id}`)).body.status === 'completed', 'it ends');
});

test('nobody is reminded for an account that is suspended', async () => {
  const { orchflow } = story;
  const run = await story.start({}, { ask_me_about: ['the budget'], remind_every: '1s' });
  const reminders = orchflow.db
    .selectFrom('run_events')
    .where('run_id', '=', run.run_id)
    .where('type', '=', 'gate.reminder');
  const count = async () => (await reminders.select('seq').execute()).length;
  await until(async () => (await count()) > 0, 'a reminder');
  await set('--suspend', 403);
  const handle = orchflow.client.workflow.getHandle(run.run_id);
  const [asked] = await handle.query<GateState[]>('waitingTasks');
  const gates = () => handle.query<GateState[]>('waitingTasks');
  await until(async () => (await gates())[0]!.reminders > asked!.reminders + 1_800, 'the next is left out');
  const before = await count();
  await set('--resume', 200);
  await run.complete('T1', { output: 'Ten euros.' });
  const { warnings } = await run.until('completed');
  expect(warnings).toEqual([]);
  expect(await count()).toBe(before);
});

test('readers of a run that waits are told, when it has lasted', async () => {
  const { orchflow, user } = story;
  const run = await story.start({}, { ask_me_about: ['the budget'] });
  await run.untilWaiting('T1');
  await orchflow.stopWorker();
  await run.complete('T1', { output: 'Ten euros.' });
  await set('--suspend', 403);
  const suspended_at = sql<string>`now() - interval '3 hours'`;
  await orchflow.db.updateTable('accounts').set({ suspended_at }).where('email', '=', user.email).execute();
  await orchflow.startWorker();
  await until(() => isHeld(run.run_id), 'the run waits');
  await set('--resume', 200);
  const told = await run.until(({ warnings }) => warnings.length > 0);
  expect(told.warnings[0]).toMatch(/ waits \(1 try since .* This account is suspended; what it has begun waits\.$/);
  await run.cancel();
});

test('who has lost all keys gets a new one from the operator', async () => {
  const { stdout, code } = await account(story.user.email, '--new-key');
  expect(code).toBe(0);
  const [api_key] = /orch_[0-9A-Za-z]{49}/.exec(stdout)!;
  const user = createUser(story.orchflow.url, api_key, '', '');
  expect((await user.get('/keys')).body.keys).toMatchObject([
    { name: 'From the operator', scopes: ['*'], expires_at: null },
    { name: 'First key' },
  ]);
});

test.each([
  ['nothing', []],
  ['no action', ['ada@example.com']],
  ['no e-mail', ['--suspend']],
  ['two actions', ['ada@example.com', '--suspend', '--resume']],
  ['two e-mails', ['ada@example.com', 'bob@example.com', '--resume']],
  ['an unknown action', ['ada@example.com', '--forget']],
  ['a yes to what needs none', ['ada@example.com', '--suspend', '--yes']],
])('called with %s, it says how it is called', async (_, args) => {
  const { code, stdout, stderr } = await account(...args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(/^npm run account -- EMAIL --suspend\|--resume\|--new-key\|--delete\n/);
});

test('an account that there is not is told', async () => {
  expect(await account('nobody@example.com', '--suspend')).toEqual({
    code: 1,
    stdout: '',
    stderr: 'There is no account of nobody@example.com.\n',
  });
});
