import { afterEach, expect, test } from 'vitest';
import type { TestRun } from '../harness/client.ts';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { until } from '../harness/orchflow.ts';
import { inTurn, scriptRun } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';

/** Providers that ask to be left alone for a while, and those that others take over from. */

const story = useStory();
const others: FakeModel[] = [];
afterEach(() => Promise.all(others.splice(0).map((model) => model.close())));

/** Another provider of the user, whose model does whatever it is asked. */
async function addOther(vendor: 'openai' | 'anthropic' | 'gemini' = 'anthropic') {
  const model = scriptRun(await startFakeModel());
  others.push(model);
  return { model, provider_id: await story.user.addProvider(model, vendor, { api_key: 'sk-canary-other' }) };
}

/** Has the activities that wait for their next attempt make it now. */
async function wakeActivities(workflowId: string) {
  const { client } = story.orchflow;
  const { raw } = await client.workflow.getHandle(workflowId).describe();
  const { namespace } = client.options;
  for (const { activityId } of raw.pendingActivities ?? []) {
    await client.workflowService.resetActivity({ namespace, execution: { workflowId }, id: activityId });
  }
}

async function untilItWaits(run: TestRun) {
  await run.until('running');
  const handle = story.orchflow.client.workflow.getHandle(run.run_id);
  await until(async () => {
    const { raw } = await handle.describe();
    return raw.pendingActivities?.[0]?.lastFailure?.applicationFailureInfo?.type === 'ProviderBlocked';
  }, 'the call that waits');
}

/** Lets the activity that waits for its next attempt make it soon, and none after that: as after the last of many. */
async function makeNextAttemptTheLast(workflowId: string) {
  const { client } = story.orchflow;
  const { raw } = await client.workflow.getHandle(workflowId).describe();
  const [{ activityId, attempt } = {}] = raw.pendingActivities ?? [];
  const second = { seconds: 1 as unknown as Long };
  await client.workflowService.updateActivityOptions({
    namespace: client.options.namespace,
    execution: { workflowId },
    id: activityId,
    activityOptions: {
      retryPolicy: { maximumAttempts: Number(attempt), initialInterval: second, maximumInterval: second },
    },
    updateMask: {
      paths: ['retry_policy.maximum_attempts', 'retry_policy.initial_interval', 'retry_policy.maximum_interval'],
    },
  });
}

const blockOf = async () => (await story.user.get('/providers')).body.providers[0].blocked_until as string | undefined;

test('a provider that says 429 for an hour is left alone by all runs, none fails, and they go on when it is over', async () => {
  const { model, orchflow, provider_id } = story;
  const limited = inTurn({ status: 429, headers: { 'retry-after': '3600' } });
  const first = await story.start({ execute: limited, dependencies: { T2: ['T1'], T3: ['T1'] } });
  await until(async () => (await blockOf()) !== undefined, 'the block');
  const left = Date.parse((await blockOf())!) - Date.now();
  expect(left).toBeGreaterThan(3_500_000);
  expect(left).toBeLessThan(3_700_000);

  const calls = model.calls.length;
  const second = await story.user.startRun({ task: 'Another.', provider_id });
  await untilItWaits(second);
  expect(model.calls).toHaveLength(calls);
  for (const run of [first, second]) expect(await run.get()).toMatchObject({ status: 'running', error: null });

  // The hour is over.
  await orchflow.db.deleteFrom('model_cooldowns').where('provider_id', '=', provider_id).execute();
  for (const { run_id } of [first, second]) await wakeActivities(run_id);
  expect((await first.until('completed')).tasks.map((task) => task.attempts)).toEqual([1, 1, 1]);
  await second.until('completed');
});

test('a model that says 429 is left alone, and the other models of its key are not', async () => {
  const { model } = story;
  const limited = inTurn({ status: 429, headers: { 'retry-after': '3600' } });
  const agents = [{ name: 'research', model: 'gpt-4.1' }];
  const first = await story.start({ execute: limited }, { agents });
  await until(async () => (await blockOf()) !== undefined, 'the block');
  const second = await story.user.startRun({ task: 'Another.', provider_id: story.provider_id });
  await second.until('completed');
  expect(await first.get()).toMatchObject({ status: 'running' });
  expect(model.callsFor('execute').filter((call) => call.model === 'gpt-4.1').length).toBeGreaterThan(0);
  await first.cancel();
});

test("the operator's own model is left alone as well", async () => {
  const { db } = story.orchflow;
  const blocked_until = new Date(Date.now() + 3_600_000).toISOString();
  await db
    .insertInto('model_cooldowns')
    .values({ provider_id: 'managed/demo', model: 'demo', blocked_until })
    .execute();
  const run = await story.user.startRun({ task: 'Compare the market.' });
  await untilItWaits(run);
  await db.deleteFrom('model_cooldowns').execute();
  await wakeActivities(run.run_id);
  await run.until('completed');
});

test('a call that was put off as often as an activity is tried is asked for anew, and nobody is bothered', async () => {
  const { model, orchflow, provider_id } = story;
  const limited = inTurn({ status: 429, headers: { 'retry-after': '3600' } });
  const run = await story.start({ split: limited });
  await run.until('running');
  const handle = orchflow.client.workflow.getHandle(run.run_id);
  const pending = async () => (await handle.describe()).raw.pendingActivities?.[0];
  await until(async () => Boolean((await pending())?.lastFailure), 'it is put off');
  const before = (await pending())!.activityId;
  await makeNextAttemptTheLast(run.run_id);
  await until(async () => ![before, undefined].includes((await pending())?.activityId), 'another activity');
  await until(async () => Boolean((await pending())?.lastFailure), 'it is put off too');
  await orchflow.db.deleteFrom('model_cooldowns').where('provider_id', '=', provider_id).execute();
  await wakeActivities(run.run_id);
  const done = await run.until('completed');
  expect(done).toMatchObject({ warnings: [], error: null });
  expect(done.tasks.map(({ attempts, gate }) => [attempts, gate])).toEqual(Array(3).fill([1, null]));
  expect(model.callsFor('split')).toHaveLength(2);
});

test('waiting for a provider does not count as trying: a call that fails later is tried again as often', async () => {
  const wait = { status: 429, headers: { 'retry-after-ms': '1000' } };
  const broken = { finish: 'none' as const, text: 'Half an answer' };
  const replies = inTurn(wait, wait, wait, broken);
  const run = await story.start({
    execute: ({ task_id }) => (task_id === 'T1' ? replies() : undefined),
    dependencies: { T2: ['T1'], T3: ['T2'] },
  });
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ attempts: 1, gate: null, output: 'Output of T1.' });
  expect(story.prompts('T1')).toHaveLength(5);
});

test.each([
  ['a refused key', { status: 401 }, 'refuses calls: its key is not taken'],
  [
    'a used-up quota',
    { status: 429, body: { error: { message: 'No credit.', code: 'insufficient_quota' } } },
    'refuses calls: its quota or credit is used up',
  ],
])('after %s the next provider does it all, with its own model, and one warning says so', async (_, reply, why) => {
  const other = await addOther();
  const run = await story.start(
    { split: () => reply, infer: () => reply, execute: () => reply, evaluate: () => reply, finalize: () => reply },
    { fallback_provider_ids: [other.provider_id] },
  );
  const done = await run.until('completed');
  expect(done).toMatchObject({ fallback_provider_ids: [other.provider_id], final_output: 'The final output.' });
  expect(done.warnings).toEqual([`Provider ${story.provider_id} ${why}; ${other.provider_id} takes them.`]);
  expect(new Set(other.model.calls.map((call) => `${call.model} ${call.api_key}`))).toEqual(
    new Set(['claude-3-5-haiku-20241022 sk-canary-other']),
  );
  expect(other.model.calls).toHaveLength(9);
});

test('a provider that is deactivated amid a run hands over to the named fallback, and to no other', async () => {
  const [fallback, newer] = [await addOther('anthropic'), await addOther('openai')];
  const run = await story.start({}, { ask_me_about: ['the budget'], fallback_provider_ids: [fallback.provider_id] });
  await run.untilWaiting('T1');
  await story.user.delete(`/providers/${story.provider_id}`);
  await run.complete('T1', { output: 'Ten euros.' });
  const done = await run.until('completed');
  expect(done.warnings).toEqual([
    `Provider ${story.provider_id} is not active any more; ${fallback.provider_id} takes them.`,
  ]);
  expect(fallback.model.calls).toHaveLength(7);
  expect(newer.model.calls).toEqual([]);
});

test.each([
  ['planned', '_planning', 'the run'],
  ['done', 'T2', 'the run'],
  ['done by an agent whose model is of another vendor', 'T2', 'the agent'],
])(
  'one that is deactivated before the work is %s is not replaced: a person is asked, until another is named',
  async (_, task, whose) => {
    const [ofAgent, newer] = [await addOther('anthropic'), [await addOther('openai'), await addOther('gemini')]];
    const agents = [{ name: 'writer', ...(whose === 'the agent' && { model: 'claude-haiku-4-5' }) }];
    const inTheWay = task === '_planning' ? { split: () => ({ hang: 'before_headers' as const }) } : {};
    const run = await story.start(inTheWay, { agents, ...(task !== '_planning' && { ask_me_about: ['the budget'] }) });
    const gone = whose === 'the agent' ? ofAgent.provider_id : story.provider_id;
    if (task === '_planning') {
      // The worker dies with the call.
      await story.model.until(() => story.model.callsFor('split').length === 1, 'the plan');
      await story.orchflow.stopWorker();
      await story.user.delete(`/providers/${gone}`);
      await story.orchflow.startWorker();
    } else {
      await run.untilWaiting('T1');
      newer.push(await addOther('anthropic'));
      await story.user.delete(`/providers/${gone}`);
      await run.complete('T1', { output: 'Ten euros.' });
    }
    const waiting = await run.untilWaiting(task);
    const { gate } = waiting.tasks.find(({ id }) => id === task)!;
    expect(gate).toMatchObject({
      kind: 'escalation',
      reason: expect.stringContaining(`Provider ${gone} is not active`),
    });
    for (const { model } of newer) expect(model.calls).toEqual([]);
    await run.cancel();
  },
);

test('the providers are asked in their order, and a person when all of them refuse', async () => {
  const [second, third] = [await addOther('anthropic'), await addOther('gemini')];
  await story.user.delete(`/providers/${second.provider_id}`).then(({ status }) => expect(status).toBe(200));
  const ids = [second.provider_id, third.provider_id];
  expect(await story.user.post('/runs', { task: 'x', fallback_provider_ids: ids })).toMatchObject({
    status: 404,
    body: { errors: [{ pointer: '/fallback_provider_ids/0' }] },
  });

  const fourth = await addOther('anthropic');
  for (const { model } of [third, fourth])
    model.on(({ purpose }) => (purpose === 'execute' ? { status: 403 } : undefined));
  const run = await story.start(
    { execute: () => ({ status: 401 }) },
    { fallback_provider_ids: [third.provider_id, fourth.provider_id] },
  );
  const waiting = await run.untilWaiting('T1');
  const { kind, reason } = waiting.tasks[0]!.gate!;
  expect(kind).toBe('escalation');
  expect(reason).toMatch(/OpenAI .*refused the API key.*Gemini .*refused the API key.*Anthropic .*refused the API key/);
  const [asked] = [...third.model.callsFor('execute'), ...fourth.model.callsFor('execute')].filter(
    ({ task_id }) => task_id === 'T1',
  );
  expect(asked!.vendor).toBe('gemini');
  await run.cancel();
});
