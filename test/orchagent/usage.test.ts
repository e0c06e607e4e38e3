import { sql } from 'kysely';
import { expect, test } from 'vitest';
import {
  countCalls,
  countCallsOfVersion,
  listCalls,
  listCallsOfVersion,
  type CallFilter,
} from '../../db/called-runs.ts';
import { emptyRun } from '../../db/purges.ts';
import { insertLlmCall } from '../../db/llm-calls.ts';
import { foldUsage, sumUsage, sumUsageBy, sumUsageOverTime } from '../../db/usage.ts';
import { runIdOf, runIdsWithPrefix, uuidOf } from '../../src/ids.ts';
import { createCaller, publish } from '../harness/calls.ts';
import { createAgents, expectError } from '../harness/orchagent.ts';
import type { User } from '../harness/orchflow.ts';
import { untilGone } from '../harness/purged.ts';
import { useStory } from '../harness/story.ts';

/** What calls of agents have come to, and how they are told. */

const story = useStory();

const clientOf = (user: User) => createAgents(story.orchflow.url, user);
const callBy = (user: User) => createCaller(story.orchflow.url, user).post;

async function get(user: User, path: string): Promise<any> {
  const { status, body } = await clientOf(user).get(path);
  expect(status, `${path}: ${JSON.stringify(body)}`).toBe(200);
  return body;
}

async function accountOf({ email }: User): Promise<string> {
  const found = story.orchflow.db.selectFrom('accounts').select('account_id').where('email', '=', email);
  return (await found.executeTakeFirstOrThrow()).account_id;
}

const versionOf = async (agent_id: string) =>
  (
    await story.orchflow.db
      .selectFrom('agent_versions')
      .select('version_id')
      .where('agent_id', '=', agent_id)
      .executeTakeFirstOrThrow()
  ).version_id;

/** What the journal has of an account, of which nothing is purged. */
async function journalOf(user: User) {
  const { rows } = await sql<any>`
    select count(*) as llm_calls, sum(input_tokens) as input, sum(output_tokens) as output,
      sum(usd(cost_usd))::float8 as cost_usd
    from llm_calls join runs using (run_id) where runs.account_id = ${await accountOf(user)}`.execute(
    story.orchflow.db,
  );
  const { llm_calls, input, output, cost_usd } = rows[0]!;
  return { llm_calls, tokens: { input, output }, cost_usd };
}

const paid = ({ llm_calls, tokens, cost_usd }: any) => ({ llm_calls, tokens, cost_usd });
const counts = ({ calls, succeeded, failed, cancelled, unfinished }: any) => [
  calls,
  succeeded,
  failed,
  cancelled,
  unfinished,
];

/** The sums of these, as of one. */
function total(parts: any[]) {
  const sum = (of: (part: any) => number) => parts.reduce((all, part) => all + of(part), 0);
  return {
    llm_calls: sum((part) => part.llm_calls),
    tokens: { input: sum((part) => part.tokens.input), output: sum((part) => part.tokens.output) },
    cost_usd: expect.closeTo(
      sum((part) => part.cost_usd),
      9,
    ),
  };
}

/** `boss` asks `finder` for what it knows, and both are of an organisation of the test's user. */
async function publishChain(org: string) {
  const { provider_id } = story;
  const finder = await publish(
    story.orchflow,
    story.user,
    org,
    { name: 'finder', system_prompt: 'You look up.', provider_id },
    { is_public: true },
  );
  const dependencies = [{ id: `${org}/finder`, version: 'v1' }];
  const boss = await publish(
    story.orchflow,
    story.user,
    org,
    { name: 'boss', provider_id },
    { package: { engine: 'managed_loop', manifest: { dependencies } } },
  );
  story.model.on(({ system, body, prompt }) => {
    if (prompt.includes('Refuse')) return { status: 401 };
    if (system.includes('You look up.')) return '{"found": "a needle"}';
    const tool = body.tools?.find((one: any) => one.function.name.startsWith(org));
    const hasCalled = body.messages.some((message: any) => message.role === 'tool');
    if (tool && !hasCalled) return { call: [{ name: tool.function.name, arguments: { where: 'hay' } }] };
    return '{"said": "a needle"}';
  });
  return { finder: await versionOf(finder), boss: await versionOf(boss) };
}

test('sums are those of the journal: chains once, failures, what was tried again, and what is purged', async () => {
  const { user, orchflow } = story;
  const { db } = orchflow;
  const org = 'usage-1';
  const versions = await publishChain(org);
  const stranger = await orchflow.register();
  await stranger.addProvider(story.model);
  const tenant = (name: string) => ({ 'x-orchagent-tenant': name });
  const runOf = (answer: any) => runIdOf(answer.headers.get('x-run-id'))!;

  const chain = runOf(await callBy(user)(`/${org}/boss/v1/run`, { wish: 'needle' }, tenant('a')));
  const failed = runOf(await callBy(user)(`/${org}/finder/v1/run`, { say: 'Refuse this.' }, tenant('b')));
  const again = await clientOf(user).post(
    `/workspaces/${uuidOf(await accountOf(user))}/runs/${uuidOf(chain)}/replay`,
    {},
  );
  expect(again.status, JSON.stringify(again.body)).toBe(201);
  await user.openRun(runIdOf(again.body.run_id)!).until('completed');
  expect((await callBy(stranger)(`/${org}/finder/v1/run`, { secret: 'Mine.' }, tenant('c'))).status).toBe(200);
  await callBy(stranger)(`/${org}/finder/v1/run`, { secret: 'Refuse mine.' });

  // The first chain, the failed one, and the replay with what that has called in its turn.
  const journal = await journalOf(user);
  expect(journal.llm_calls).toBe(6);
  expect(journal.cost_usd).toBeGreaterThan(0);
  const usage = await get(user, '/usage?by=tenant');
  expect(counts(usage)).toEqual([5, 4, 1, 0, 0]);
  expect(paid(usage)).toEqual(journal);
  expect(usage.tenants.map((one: any) => [one.tenant, one.calls])).toEqual([
    ['a', 4],
    ['b', 1],
  ]);
  expect(total(usage.tenants)).toEqual(journal);

  // The same run once more is the same call.
  story.model.on(({ system }) => (system.includes('You look up.') ? '{"found": "late"}' : undefined));
  expect((await user.post(`/runs/${failed}/retry`, {})).status).toBe(200);
  await user.openRun(failed).until('completed');
  const mended = await journalOf(user);
  expect(mended.llm_calls).toBe(7);
  const all = async () => {
    const now = await get(user, '/usage');
    expect(counts(now)).toEqual([5, 5, 0, 0, 0]);
    expect(paid(now)).toEqual(mended);
    for (const by of ['agent', 'version', 'tenant', 'model', 'key']) {
      const { breakdown, rest } = await get(user, `/usage/breakdown?by=${by}`);
      expect([total(breakdown), rest], by).toEqual([mended, null]);
      const cut = await get(user, `/usage/breakdown?by=${by}&limit=1`);
      expect(total([...cut.breakdown, ...(cut.rest ? [cut.rest] : [])]), by).toEqual(mended);
    }
    for (const interval of ['hour', 'day']) {
      const { points } = await get(user, `/usage/timeseries?interval=${interval}`);
      expect(points).toHaveLength(interval === 'hour' ? 24 : 30);
      expect([total(points), points.filter((point: any) => point.calls > 0).length], interval).toEqual([mended, 1]);
    }
    return now;
  };
  const before = await all();
  const byAgent = (await get(user, '/usage/breakdown')).breakdown;
  expect(byAgent.map((one: any) => [one.agent, one.calls]).toSorted()).toEqual([
    [`${org}/boss`, 2],
    [`${org}/finder`, 3],
  ]);
  const byKey = (await get(user, '/usage/breakdown?by=key')).breakdown;
  expect(byKey).toMatchObject([{ key_id: expect.stringMatching(/^key_/), name: 'First key', calls: 5 }]);

  // Added up or not, purged or not, it is the same; and what is journalled of a purged run yet is counted.
  while ((await foldUsage(db, 3)) > 0);
  expect(await all()).toEqual(before);
  const late = await db.selectFrom('llm_calls').selectAll().where('run_id', '=', failed).executeTakeFirstOrThrow();
  for (const run_id of [chain, failed]) {
    expect((await user.delete(`/runs/${run_id}?purge=true`)).status).toBe(200);
    await emptyRun(db, run_id);
  }
  expect(await all()).toEqual(before);
  const { account_id: _, created_at: __, ...call } = late;
  await insertLlmCall(db, { ...call, call_id: `${failed}/late`, text: 'Late.' });
  const later = await get(user, '/usage?tenant=b');
  expect(later).toMatchObject({ calls: 1, succeeded: 1, llm_calls: 2 });
  await untilGone(db, failed);
  while ((await foldUsage(db, 5_000)) > 0);
  expect(await get(user, '/usage?tenant=b')).toEqual(later);
  expect((await get(user, `/usage?agent=${org}/finder&version=v1&tenant=a`)).calls).toBe(2);

  // Authors learn how calls of others went, and nothing of whose they are; who calls has all of it.
  const others = await get(user, '/usage?calls=by_others');
  expect(others).toEqual({
    from: expect.any(String),
    to: expect.any(String),
    of: 'by_others',
    calls: 2,
    succeeded: 1,
    failed: 1,
    cancelled: 0,
    unfinished: 0,
    avg_duration_ms: expect.any(Number),
  });
  expect((await get(user, '/usage/breakdown?calls=by_others')).breakdown).toMatchObject([
    { agent: `${org}/finder`, calls: 2 },
  ]);
  expect(paid(await get(stranger, '/usage'))).toEqual(await journalOf(stranger));
  expect(counts(await get(stranger, '/usage?calls=by_others'))).toEqual([0, 0, 0, 0, 0]);
  for (const path of [
    '/usage?calls=by_others&by=tenant',
    '/usage?calls=by_others&tenant=c',
    '/usage/breakdown?calls=by_others&by=key',
  ])
    expectError(await clientOf(user).get(path), 'INVALID_INPUT', 400);

  const { logs, total: number } = await get(user, `/agents/${versions.finder}/logs`);
  expect(number).toBe(3);
  const [refused, ofStranger, own] = logs;
  expect(refused).toMatchObject({ by: 'others', status: 'failed', error_code: 'LLM_ERROR' });
  expect(ofStranger).toEqual({
    by: 'others',
    id: null,
    status: 'completed',
    error_code: null,
    duration_ms: expect.any(Number),
    tokens: null,
    trigger_source: null,
    created_at: expect.stringMatching(/:00\.000Z$/),
  });
  expect(own).toMatchObject({ by: 'own', id: expect.any(String), trigger_source: 'agent', status: 'completed' });
  expect(JSON.stringify(logs)).not.toMatch(/Mine|tenant|key_|acc_/);
  expectError(await clientOf(stranger).get(`/agents/${versions.finder}/logs`), 'NOT_FOUND', 404);

  // What is deleted with its account stays with authors, in counts.
  await db.deleteFrom('usage_deltas').execute();
  const { rows } = await sql<{ sides: string[] }>`
    select array_agg(distinct side) as sides from usage_counts where agent = ${`${org}/finder`}`.execute(db);
  expect(rows[0]!.sides.toSorted()).toEqual(['author', 'caller']);
});

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

test('what the sandbox has done counts with its call, each try, whatever becomes of the run', async () => {
  const { user, orchflow } = story;
  const { db } = orchflow;
  const org = 'usage-3';
  await publishChain(org);
  const run_id = runIdOf((await callBy(user)(`/${org}/finder/v1/run`, {})).headers.get('x-run-id')!)!;
  const row = { call_id: `${run_id}/T1/1`, run_id, task_id: 'T1', worker_id: 'w', key_id: null };
  for (const nth of [1, 2])
    await db
      .insertInto('code_runs')
      .values({ ...row, try: nth })
      .execute();
  const ended = { ended: 'exited' as const, wall_ms: 1_500, cpu_ms: 250 };
  await db.updateTable('code_runs').set(ended).where('try', '=', 2).where('run_id', '=', run_id).execute();
  const sums = { runs: 2, wall_seconds: 1.5, cpu_seconds: 0.25 };
  const compute = await get(user, '/usage/compute');
  expect(compute).toMatchObject({ ...sums, agents: [{ agent: `${org}/finder`, version: 'v1', ...sums }], rest: null });
  expect((await user.delete(`/runs/${run_id}?purge=true`)).status).toBe(200);
  await emptyRun(db, run_id);
  expect(await get(user, '/usage/compute')).toEqual(compute);
  expect(await get(await orchflow.register(), '/usage/compute')).toMatchObject({ runs: 0, agents: [] });
});

test.each([
  ['/usage?from=yesterday', 'from'],
  ['/usage?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z', 'from'],
  ['/usage?from=2024-01-01T00:00:00Z&to=2026-01-01T00:00:00Z', 'from'],
  ['/usage?calls=theirs', 'calls'],
  ['/usage?agent=scanner', 'agent'],
  ['/usage?version=latest', 'version'],
  [`/usage?tenant=${'x'.repeat(201)}`, 'tenant'],
  ['/usage?since=2026-01-01T00:00:00Z', 'since'],
  ['/usage/timeseries?interval=minute', 'interval'],
  ['/usage/timeseries?interval=hour&from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z', 'from'],
  ['/usage/breakdown?by=caller', 'by'],
  ['/usage/breakdown?limit=101', 'limit'],
  ['/usage/compute?calls=own', 'calls'],
  ['/usage/logs?limit=201', 'limit'],
  ['/usage/logs?cursor=x', 'cursor'],
  ['/usage/logs?status=dead_letter', 'status'],
  ['/workspaces/{ws}/runs?limit=201', 'limit'],
  ['/workspaces/{ws}/runs?run_id_prefix=abc', 'run_id_prefix'],
  ['/workspaces/{ws}/runs?status=waiting_human', 'status'],
])('%s is refused', async (path, parameter) => {
  const answer = await clientOf(story.user).get(path.replace('{ws}', uuidOf(await accountOf(story.user))));
  expect(expectError(answer, 'INVALID_INPUT', 400).errors).toMatchObject([{ pointer: `/${parameter}` }]);
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
  const period = { from: new Date(Date.now() - 86_400_000).toISOString(), to: new Date().toISOString() };
  await db.transaction().execute(async (trx) => {
    const scanned = async () => {
      const { rows } = await sql<{ read: number }>`
        select sum(seq_tup_read)::int as read from pg_stat_xact_user_tables
        where relname in ('runs', 'agent_calls', 'usage_counts')`.execute(trx);
      return rows[0]!.read;
    };
    for (const filter of filters) {
      for (const page of [{ limit: 21 }, { limit: 21, after: { created_at, id: 'run_' } }]) {
        await listCalls(trx, account_id, filter, page);
        expect(await scanned(), JSON.stringify([filter, page])).toBe(0);
      }
      await countCalls(trx, account_id, filter, 10_000);
      expect(await scanned(), JSON.stringify(filter)).toBe(0);
    }
    await listCallsOfVersion(trx, account_id, versions.finder, { limit: 21, offset: 500 });
    await countCallsOfVersion(trx, account_id, versions.finder, 10_000);
    expect(await scanned()).toBe(0);
    const usage = { account_id, side: 'caller' as const, ...period };
    expect((await sumUsage(trx, usage)).calls).toBeGreaterThan(80_000);
    await sumUsageBy(trx, usage, 'tenant', 100);
    await sumUsageOverTime(trx, usage, 'hour');
    await sumUsage(trx, { ...usage, account_id: 'acc_none' });
    expect(await scanned()).toBe(0);
    await sql`select count(*) from runs where error is null`.execute(trx);
    expect(await scanned(), 'this test sees such reads').toBeGreaterThan(100_000);
  });
  expect((await get(user, `/workspaces/${uuidOf(account_id)}/runs`)).total).toBe(10_000);
});
