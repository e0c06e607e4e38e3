import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { measureAgents, measureCalls, measureDays, mostMeasured } from '../../db/call-metrics.ts';
import {
  countCalls,
  countCallsOfVersion,
  listCalls,
  listCallsOfVersion,
  type CallFilter,
} from '../../db/called-runs.ts';
import { sumUsage, sumUsageBy, sumUsageOverTime } from '../../db/usage.ts';
import { runIdOf, runIdsWithPrefix, uuidOf } from '../../src/ids.ts';
import { createAgents, expectError } from '../harness/orchagent.ts';
import { useStory } from '../harness/story.ts';
import { counts, usageOf } from '../harness/usage.ts';

/** Calls of agents as runs of a workspace, and how they are found. */

const story = useStory();
const { accountOf, callBy, clientOf, get, publishChain } = usageOf(story);

test('calls are runs of the workspace, found by a prefix, with logs, trace, chain and replay', async () => {
  const { user, orchflow } = story;
  const org = 'usage-2';
  await publishChain(org);
  const stranger = await orchflow.register();
  const [mine, theirs] = [uuidOf(await accountOf(user)), uuidOf(await accountOf(stranger))];
  const sent = { wish: 'needle', llm_credentials: { model: 'gpt-4o-mini' } };
  const answer = await callBy(user)(`/${org}/boss/v1/run`, sent);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  const id = answer.headers.get('x-run-id')!;
  await callBy(user)(`/${org}/finder/v1/run`, { say: 'Refuse this.' });
  const runs = `/workspaces/${mine}/runs`;

  const list = await get(user, runs);
  expect(list.total).toBe(3);
  expect(list.runs.map((run: any) => [run.agent_name, run.agent_version, run.status, run.trigger_source])).toEqual([
    ['finder', 'v1', 'failed', 'api'],
    ['finder', 'v1', 'completed', 'agent'],
    ['boss', 'v1', 'completed', 'api'],
  ]);
  const found = async (query: string) => (await get(user, `${runs}?${query}`)).runs.map((run: any) => run.agent_name);
  expect(await found('agent_name=finder&status=completed')).toEqual(['finder']);
  expect(await found(`agent_name=${org}/boss`)).toEqual(['boss']);
  expect(await found('status=timeout')).toEqual([]);
  for (const prefix of [
    id.slice(0, 7),
    id.replaceAll('-', '').slice(0, 12),
    id.toUpperCase(),
    answer.body.metadata.request_id,
  ])
    expect(await found(`run_id_prefix=${prefix}`), prefix).toEqual(['boss']);
  expect(await found('run_id_prefix=ffffffffffff7')).toEqual([]);

  const run = await get(user, `${runs}/${id}`);
  expect(run).toMatchObject({ id, agent: `${org}/boss`, root_run_id: id, parent_run_id: null, error_message: null });
  expect(run.usage.llm_calls).toBe(2);
  expect(await get(user, `${runs}/${id}/logs`)).toMatchObject({
    run_id: id,
    run_status: 'completed',
    input_data: { wish: 'needle' },
    output_data: { said: 'a needle' },
    has_execution_log: false,
    stdout: null,
  });
  const { trace } = await get(user, `${runs}/${id}/trace`);
  const events = `/workspaces/${mine}/traces/${trace.id}/events`;
  const first = await get(user, `${events}?limit=2`);
  expect(first).toMatchObject({ total: 3, cursor: '0', next_cursor: '2' });
  const rest = await get(user, `${events}?limit=2&offset=${first.next_cursor}`);
  expect(rest.next_cursor).toBe(null);
  const all = [...first.events, ...rest.events];
  expect(all.map((event) => [event.sequence_no, event.event_type])).toEqual([
    [1, 'llm_call_succeeded'],
    [2, 'tool_call_succeeded'],
    [3, 'llm_call_succeeded'],
  ]);
  const spent = all.reduce((sum, event) => sum + (event.token_input ?? 0), 0);
  expect(spent).toBe(run.usage.input_tokens);

  const dag = await get(user, `${runs}/${list.runs[1].id}/dag`);
  expect(dag).toMatchObject({ root_run_id: id, is_live: false, node_count: 2, completed_count: 2, failed_count: 0 });
  expect(dag.tree.children).toMatchObject([{ run_id: list.runs[1].id, agent_name: 'finder', children: [] }]);
  expect(dag.total_cost_usd).toBeCloseTo(dag.tree.self_cost_usd + dag.tree.children[0].self_cost_usd, 9);

  const replay = await clientOf(user).post(`${runs}/${id}/replay`, { reason: 'Once more.' });
  expect(replay.status).toBe(201);
  const { run_id } = replay.body;
  expect(replay.body).toEqual({ run_id, job_id: run_id, replay_of_run_id: id, status: 'queued' });
  await user.openRun(runIdOf(run_id)!).until('completed');
  const replayed = await get(user, `${runs}/${run_id}`);
  expect(replayed).toMatchObject({
    status: 'completed',
    trigger_source: 'replay',
    replay_of_run_id: id,
    root_run_id: run_id,
  });
  expect((await get(user, `${runs}/${run_id}/logs`)).output_data).toEqual({ said: 'a needle' });
  expect((await get(user, `${runs}/${run_id}/dag`)).node_count).toBe(2);
  expectError(
    await clientOf(user).post(`${runs}/${id}/replay`, { override_provider_policy_id: 'x' }),
    'INVALID_INPUT',
    400,
  );

  const metrics = `/workspaces/${mine}/metrics/dashboard`;
  const { overview, agents, daily_series, ...more } = await get(user, `${metrics}?days=7`);
  const counted = { total_runs: 5, completed: 4, failed: 1, timeout: 0, success_rate: 80, error_rate: 20 };
  expect(overview).toMatchObject({ ...counted, runs_per_day: 0.7, p95_latency_ms: expect.any(Number) });
  expect(agents.map((one: any) => [one.agent_name, one.total_runs, one.top_error, one.trigger_sources])).toEqual([
    ['finder', 3, 'LLM_ERROR', { api: 1, agent: 2, replay: 0 }],
    ['boss', 2, null, { api: 1, agent: 0, replay: 1 }],
  ]);
  expect([more, daily_series.reduce((sum: number, day: any) => sum + day.total_runs, 0)]).toEqual([
    { period: '7d', total_agents: 2 },
    5,
  ]);
  expect((await get(user, `${metrics}?agent_name=boss`)).overview).toMatchObject({ total_runs: 2, success_rate: 100 });
  expectError(await clientOf(user).get(`${metrics}?days=0`), 'INVALID_INPUT', 400);
  expectError(await clientOf(stranger).get(metrics), 'NOT_FOUND', 404);

  // Page after page there is each call once, whatever is filtered.
  for (const filter of ['', `&agent=${org}/finder`, '&status=completed', '&version=v1']) {
    const whole = (await get(user, `/usage/logs?limit=200${filter}`)).logs.map((one: any) => one.id);
    const paged: string[] = [];
    for (let cursor = ''; ;) {
      const page = await get(user, `/usage/logs?limit=1${filter}${cursor}`);
      paged.push(...page.logs.map((one: any) => one.id));
      if (!page.has_more) break;
      cursor = `&cursor=${page.next_cursor}`;
    }
    expect(paged, filter).toEqual(whole);
    expect(whole.length).toBeGreaterThan(2);
  }
  expect(JSON.stringify(await get(user, '/usage/logs'))).not.toContain('needle');

  // A test key does none of what is live again; another account finds neither the workspace nor what is in it.
  const testKey = await clientOf(user).post('/v1/api-keys', { name: 'Tests', mode: 'test', scopes: ['*'] });
  expectError(
    await createAgents(orchflow.url, { api_key: testKey.body.api_key }).post(`${runs}/${id}/replay`, {}),
    'FORBIDDEN',
    403,
  );
  for (const [method, path] of [
    ['GET', ''],
    ['GET', '/logs'],
    ['GET', '/trace'],
    ['GET', '/dag'],
    ['POST', '/replay'],
  ] as const) {
    const body = method === 'POST' ? {} : undefined;
    const exchange = async (run: string) => {
      const { status, body: said } = await clientOf(stranger).call(
        method,
        `/workspaces/${theirs}/runs/${run}${path}`,
        body,
      );
      return { status, error: said.error };
    };
    const unknown = await exchange(uuidOf('run_00000000000000000000'));
    expect(unknown.status).toBe(404);
    for (const other of [id, runIdOf(id)!, 'x']) expect(await exchange(other), path).toEqual(unknown);
    expectError(await clientOf(stranger).call(method, `${runs}/${id}${path}`, body), 'NOT_FOUND', 404);
  }
  expectError(await clientOf(stranger).get(runs), 'NOT_FOUND', 404);
  expectError(await clientOf(stranger).get(`/workspaces/${theirs}/traces/${id}/events`), 'NOT_FOUND', 404);
  expect(await get(stranger, `/workspaces/${theirs}/runs?run_id_prefix=${id.slice(0, 8)}`)).toEqual({
    runs: [],
    total: 0,
  });
  expect((await get(stranger, '/usage/logs')).logs).toEqual([]);
  expect(counts(await get(stranger, '/usage'))).toEqual([0, 0, 0, 0, 0]);
});

test('no page and no sum of a hundred thousand calls takes a sequential scan', async () => {
  const { db } = story.orchflow;
  const { user } = story;
  const org = 'usage-4';
  const versions = await publishChain(org);
  const { headers } = await callBy(user)(`/${org}/finder/v1/run`, {});
  const run_id = runIdOf(headers.get('x-run-id')!)!;
  const account_id = await accountOf(user);
  // Each statement has a timeout, and triggers take long.
  for (let first = 1; first < 100_000; first += 10_000) {
    await db.transaction().execute(async (trx) => {
      await sql`set local session_replication_role = replica`.execute(trx);
      const numbers = sql`generate_series(${first}::int, ${first + 9_999}::int) as n`;
      await sql`
        insert into runs (run_id, account_id, task, agents, human_gates, ask_me_about, require_approval, status, created_at, agent_id, kind)
        select 'run_' || left(md5(n::text), 20), account_id, '', '[]', '[]', '[]', false,
          (array['completed', 'failed', 'cancelled'])[1 + n % 3], created_at - n * interval '1 second', agent_id, kind
        from runs, ${numbers} where run_id = ${run_id}`.execute(trx);
      await sql`
        insert into agent_calls (run_id, account_id, key_id, owner_id, version_id, agent, version, endpoint, tenant, fingerprint,
          root_run_id, chain, created_at)
        select 'run_' || left(md5(n::text), 20), account_id, key_id, owner_id, version_id, agent, version, endpoint, 't' || n % 1000,
          '', 'run_' || left(md5(n::text), 20), chain, created_at - n * interval '1 second'
        from agent_calls, ${numbers} where run_id = ${run_id}`.execute(trx);
    });
  }
  await sql`
    insert into usage_counts (account_id, side, hour, version_id, agent, version, tenant, key_id, calls)
    select account_id, 'caller', date_trunc('hour', created_at, 'UTC'), version_id, agent, version, tenant, key_id, count(*)
    from agent_calls where tenant ~ '^t' group by 1, 2, 3, 4, 5, 6, 7, 8`.execute(db);
  await sql`vacuum analyze runs, agent_calls, usage_counts, usage_deltas`.execute(db);
  const created_at = new Date(Date.now() - 3_600_000).toISOString();
  const filters: CallFilter[] = [
    {},
    { name: 'finder' },
    { name: 'nobody' },
    { agent: `${org}/finder`, version: 'v1' },
    { tenant: 't77' },
    { states: ['failed'] },
    { states: ['timeout'] },
    { states: ['running', 'waiting_human'] },
    { states: ['completed'], name: 'finder' },
    { from: created_at },
    { run_ids: runIdsWithPrefix(uuidOf(run_id).slice(0, 8))! },
  ];
  const period = { from: new Date(Date.now() - 7_200_000).toISOString(), to: new Date().toISOString() };
  await db.transaction().execute(async (trx) => {
    const scanned = async () => {
      const { rows } = await sql<{ read: number }>`
        select sum(seq_tup_read)::int as read from pg_stat_xact_user_tables
        where relname in ('runs', 'agent_calls', 'usage_counts')`.execute(trx);
      return rows[0]!.read;
    };
    for (const filter of filters) {
      for (const page of [{ limit: 21 }, { limit: 21, after: { value: created_at, id: 'run_' } }]) {
        await listCalls(trx, account_id, filter, page);
        expect(await scanned(), JSON.stringify([filter, page])).toBe(0);
      }
      await countCalls(trx, account_id, filter, 1_000);
      expect(await scanned(), JSON.stringify(filter)).toBe(0);
    }
    await listCallsOfVersion(trx, account_id, versions.finder, { limit: 21, offset: 500 });
    await countCallsOfVersion(trx, account_id, versions.finder, 1_000);
    expect(await scanned()).toBe(0);
    expect((await measureCalls(trx, { account_id, days: 365 })).calls).toBe(mostMeasured);
    await measureAgents(trx, { account_id, days: 365, name: 'finder' });
    await measureDays(trx, { account_id, days: 365 });
    expect(await scanned()).toBe(0);
    const usage = { account_id, side: 'caller' as const, ...period };
    expect((await sumUsage(trx, usage)).calls).toBeGreaterThan(3_500);
    await sumUsageBy(trx, usage, 'tenant', 100);
    await sumUsageOverTime(trx, usage, 'hour');
    await sumUsage(trx, { ...usage, account_id: 'acc_none' });
    expect(await scanned()).toBe(0);
    await sql`select count(*) from runs where error is null`.execute(trx);
    expect(await scanned(), 'this test sees such reads').toBeGreaterThan(100_000);
  });
  expect((await get(user, `/workspaces/${uuidOf(account_id)}/runs`)).total).toBe(1_000);
  // They have no histories, which are looked for at the end.
  await db.transaction().execute(async (trx) => {
    await sql`set local session_replication_role = replica`.execute(trx);
    for (const table of ['agent_calls', 'runs'] as const)
      await trx.deleteFrom(table).where('account_id', '=', account_id).where('run_id', '<>', run_id).execute();
  });
});
