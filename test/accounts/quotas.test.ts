import { describe, expect, onTestFinished, test } from 'vitest';
import { runSteps } from '../harness/orchestration.ts';
import { startOrchflow, type User } from '../harness/orchflow.ts';
import { expectFault, expectProblem } from '../harness/problem.ts';
import { send } from '../harness/raw.ts';
import { countRows } from '../harness/rows.ts';

const task = 'Compare three note apps.';
const ownProvider = { provider: 'openai', api_key: 'sk-canary' };
const hosted = { ORCHFLOW_MODE: 'hosted' };
const wayOut = expect.stringContaining('Register a provider with POST /api/v1/providers and pass its provider_id.');
const nameProvider = 'Pass the provider_id of one of yours; GET /api/v1/providers lists them.';
const providerRequired = { status: 402, code: 'PROVIDER_REQUIRED', detail: wayOut };

/** An Orchflow of these settings, with a user of it. */
async function start(environment: Record<string, string>, worker = false) {
  const orchflow = await startOrchflow({ environment, worker });
  onTestFinished(() => orchflow.stop());
  return { orchflow, user: await orchflow.register() };
}

async function addProvider(user: User): Promise<string> {
  return (await user.post('/providers', ownProvider)).body.provider_id;
}

describe('hosted', () => {
  test('registration promises 100 runs a month and 3 managed trial runs, in the documented words', async () => {
    const { orchflow } = await start(hosted);
    const ada = JSON.stringify({ name: 'Your Name', email: 'you@example.com' });
    const headers = { 'content-type': 'application/json' };
    const { body } = await send(orchflow.url, 'POST', '/api/v1/auth/register', headers, ada);
    expect(body).toMatchObject({
      message: 'Free tier: 100 runs/month, 3 managed trial runs included.',
    });
  });

  test('three managed runs, then 402 with the way out; an own provider goes on', async () => {
    const { orchflow, user } = await start(hosted);
    for (let run = 1; run <= 3; run += 1) expect((await user.post('/runs', { task })).status).toBe(201);

    const before = await countRows(orchflow.db);
    const refused = await user.post('/runs', { task });
    expectProblem(refused, providerRequired);
    expect(refused.body.detail).toContain('All 3 managed trial runs are used.');
    expect(await countRows(orchflow.db)).toEqual(before);

    const provider_id = await addProvider(user);
    expect((await user.post('/runs', { task, provider_id })).status).toBe(201);
    const again = await user.post('/runs', { task });
    expectProblem(again, { ...providerRequired, detail: `All 3 managed trial runs are used. ${nameProvider}` });
  });

  test('the trials of one account are not those of another', async () => {
    const { orchflow, user } = await start({ ...hosted, MANAGED_TRIAL_RUNS_COUNT: '1' });
    expect((await user.post('/runs', { task })).status).toBe(201);
    expect((await user.post('/runs', { task })).status).toBe(402);
    expect((await (await orchflow.register()).post('/runs', { task })).status).toBe(201);
  });

  test("a trial is of the server's own models, and no others of their vendor", async () => {
    const { user } = await start({ ...hosted, OPENAI_API_KEY: 'sk-operator', MANAGED_MODELS: 'gpt-4o, gpt-4.1' });
    const agents = (model: string) => [{ name: 'research' }, { name: 'work', model }];
    const refused = await user.post('/runs', { task, agents: agents('o1-pro') });
    const detail = `"o1-pro" is none of this server's own models: gpt-4o-mini, gpt-4o, gpt-4.1.`;
    expectFault(refused, '/agents/1/model');
    expect(refused.body.detail).toContain(detail);
    for (const model of ['gpt-4o-mini', 'gpt-4.1']) {
      expect((await user.post('/runs', { task, agents: agents(model) })).status).toBe(201);
    }
    const provider_id = await addProvider(user);
    expect((await user.post('/runs', { task, provider_id, agents: agents('o1-pro') })).status).toBe(201);
  });

  test('a run that is purged stays counted, by the month and by the trials', async () => {
    const { orchflow, user } = await start({ ...hosted, MONTHLY_RUN_LIMIT: '3', MANAGED_TRIAL_RUNS_COUNT: '2' });
    const provider_id = await addProvider(user);
    const purged = async (run: object) => {
      const { status, body } = await user.post('/runs', { task, ...run });
      expect(status).toBe(201);
      await user.delete(`/runs/${body.run_id}`);
      expect((await user.delete(`/runs/${body.run_id}?purge=true`)).status).toBe(200);
      return body.run_id as string;
    };
    const run_id = await purged({});
    expect((await user.post('/runs', { task })).status).toBe(201);
    expectProblem(await user.post('/runs', { task }), { status: 402, code: 'PROVIDER_REQUIRED' });
    await purged({ provider_id });
    expectProblem(await user.post('/runs', { task, provider_id }), { status: 429, code: 'MONTHLY_LIMIT_REACHED' });
    // As when Temporal is done with it.
    await orchflow.db.deleteFrom('runs').where('run_id', '=', run_id).execute();
    expectProblem(await user.post('/runs', { task, provider_id }), { status: 429, code: 'MONTHLY_LIMIT_REACHED' });

    const old = await orchflow.register();
    const theirs = (await old.post('/runs', { task })).body.run_id;
    const created_at = new Date(Date.now() - 32 * 24 * 3_600_000).toISOString();
    await orchflow.db.updateTable('runs').set({ created_at }).where('run_id', '=', theirs).execute();
    await old.delete(`/runs/${theirs}`);
    await old.delete(`/runs/${theirs}?purge=true`);
    const counts = orchflow.db.selectFrom('purged_run_counts').select('runs');
    expect(await counts.execute()).toEqual([{ runs: 2 }]);
  });

  test('a retry of a failed orchestration is one more trial', async () => {
    const { orchflow, user } = await start(hosted, true);
    const failing = { id: 'fail', type: 'transform', transform_code: 'nothing.at.all' };
    const failed = await runSteps(user, [failing]);
    expect(failed.body.status).toBe('failed');
    const retry = () => user.post(`/orchestrations/runs/${failed.body.run_id}/retry`, undefined);
    for (let trial = 2; trial <= 3; trial += 1) expect((await retry()).body.status).toBe('failed');
    const before = await countRows(orchflow.db);
    expectProblem(await retry(), providerRequired);
    expect(await countRows(orchflow.db)).toEqual(before);
  });

  test('ten requests at once take exactly three trials', async () => {
    const { user } = await start(hosted);
    const answers = await Promise.all(Array.from({ length: 10 }, () => user.post('/runs', { task })));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(3);
    for (const refused of answers.filter(({ status }) => status !== 201)) expectProblem(refused, providerRequired);
    expect((await user.get('/runs')).body.runs).toHaveLength(3);
  });

  test('requests that are refused take no trial', async () => {
    const { user } = await start(hosted);
    for (const [body, status] of [
      [{ task: '' }, 422],
      [{ task, agents: [{ name: 'coding', model: 'gpt-4o' }] }, 422],
      [{ task, provider_id: 'prv_x' }, 404],
    ] as const) {
      expect((await user.post('/runs', body)).status).toBe(status);
    }
    for (let run = 1; run <= 3; run += 1) expect((await user.post('/runs', { task })).status).toBe(201);
  });

  test('cancelling a run does not give its trial back', async () => {
    const { user } = await start({ ...hosted, MANAGED_TRIAL_RUNS_COUNT: '1' });
    await (await user.startRun({ task })).cancel();
    expectProblem(await user.post('/runs', { task }), providerRequired);
  });

  test('without a managed model, without trials or without leave, every run needs an own provider', async () => {
    const settings: Record<string, string>[] = [
      { ORCHFLOW_EMBEDDED: 'false' },
      { MANAGED_TRIAL_RUNS_ENABLED: 'false' },
      { MANAGED_TRIAL_RUNS_COUNT: '0' },
      { ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER: 'false' },
    ];
    for (const setting of settings) {
      const { user } = await start({ ...hosted, ...setting });
      expectProblem(await user.post('/runs', { task }), providerRequired);
      expect((await user.post('/runs', { task, provider_id: await addProvider(user) })).status).toBe(201);
      const detail = expect.stringContaining(nameProvider);
      expectProblem(await user.post('/runs', { task }), { ...providerRequired, detail });
    }
  });
});

describe('self-hosted', () => {
  test('needs an own provider from the start, unless managed runs are allowed', async () => {
    const { user } = await start({ ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER: 'false' });
    expectProblem(await user.post('/runs', { task }), providerRequired);
    expect((await user.post('/runs', { task, provider_id: await addProvider(user) })).status).toBe(201);
  });

  test('with managed runs allowed there is no limit to them', async () => {
    const { user } = await start({});
    const answers = await Promise.all(Array.from({ length: 10 }, () => user.post('/runs', { task })));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 201));
  });

  test('trials can be limited too', async () => {
    const { user } = await start({ MANAGED_TRIAL_RUNS_ENABLED: 'true', MANAGED_TRIAL_RUNS_COUNT: '1' });
    expect((await user.post('/runs', { task })).status).toBe(201);
    expectProblem(await user.post('/runs', { task }), providerRequired);
  });
});

describe('runs a month', () => {
  test('then 429 until the next month begins, for own providers too', async () => {
    const { orchflow, user } = await start({ ...hosted, MONTHLY_RUN_LIMIT: '2' });
    const provider_id = await addProvider(user);
    expect((await user.post('/runs', { task })).status).toBe(201);
    expect((await user.post('/runs', { task, provider_id })).status).toBe(201);

    const before = await countRows(orchflow.db);
    const refused = await user.post('/runs', { task, provider_id });
    expectProblem(refused, {
      status: 429,
      code: 'MONTHLY_LIMIT_REACHED',
      detail: 'All 2 runs of this month are used.',
    });
    const retryAt = new Date(Date.now() + Number(refused.headers.get('retry-after')) * 1000);
    expect([retryAt.getUTCDate(), retryAt.getUTCHours()]).toEqual([1, 0]);
    expect(retryAt.getTime() - Date.now()).toBeLessThan(32 * 24 * 60 * 60 * 1000);
    expect(await countRows(orchflow.db)).toEqual(before);

    // The next month.
    await orchflow.db
      .updateTable('runs')
      .set({ created_at: new Date(Date.now() - 32 * 24 * 60 * 60 * 1000).toISOString() })
      .execute();
    expect((await user.post('/runs', { task, provider_id })).status).toBe(201);
  });

  test('are 100 when hosted, and ten requests at once take no more than are left', async () => {
    const { orchflow, user } = await start(hosted);
    const provider_id = await addProvider(user);
    const first = await user.startRun({ task, provider_id });
    const row = await orchflow.db
      .selectFrom('runs')
      .selectAll()
      .where('run_id', '=', first.run_id)
      .executeTakeFirstOrThrow();
    const {
      agents: _,
      human_gates: __,
      ask_me_about: ___,
      warnings: ____,
      fallback_provider_ids: _____,
      plan: ______,
      shared_state: _______,
      kind: ________,
      retrying: _________,
      start_warnings: __________,
      metadata: ___________,
      first_state: ____________,
      rerun_from: _____________,
      agent_run: ______________,
      ...rest
    } = row;
    const earlier = Array.from({ length: 95 }, (_unused, index) => ({
      ...rest,
      run_id: `${row.run_id}_${index}`,
      agents: '[]',
      human_gates: '[]',
      ask_me_about: '[]',
    }));
    await orchflow.db.insertInto('runs').values(earlier).execute();
    const answers = await Promise.all(Array.from({ length: 10 }, () => user.post('/runs', { task, provider_id })));
    expect(answers.map(({ status }) => String(status)).sort()).toEqual([
      ...Array(4).fill('201'),
      ...Array(6).fill('429'),
    ]);
  });

  test('are not limited when self-hosted, unless the operator says so', async () => {
    const { user } = await start({ MONTHLY_RUN_LIMIT: '1' });
    expect((await user.post('/runs', { task })).status).toBe(201);
    expect((await user.post('/runs', { task })).status).toBe(429);
  });
});
