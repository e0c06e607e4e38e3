import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { emptyRun } from '../../db/purges.ts';
import { insertLlmCall } from '../../db/llm-calls.ts';
import { foldUsage } from '../../db/usage.ts';
import { runIdOf, uuidOf } from '../../src/ids.ts';
import { expectError } from '../harness/orchagent.ts';
import { untilGone } from '../harness/purged.ts';
import { useStory } from '../harness/story.ts';
import { counts, paid, total, untimed, usageOf } from '../harness/usage.ts';

/** What calls of agents have come to. */

const story = useStory();
const { accountOf, callBy, clientOf, get, journalOf, publishChain } = usageOf(story);

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
  // And no more bound by when its first try had to be done, nor is what it calls.
  const retried = story.orchflow.db.selectFrom('agent_calls').select('deadline_at').where('run_id', '=', failed);
  expect(await retried.executeTakeFirstOrThrow()).toEqual({ deadline_at: null });
  const mended = await journalOf(user);
  expect(mended.llm_calls).toBe(7);
  const calls = await story.orchflow.db
    .selectFrom('agent_calls')
    .select('created_at')
    .where('account_id', '=', await accountOf(user))
    .execute();
  // One of each, unless another has begun meanwhile.
  const begunIn = (length: number) => new Set(calls.map(({ created_at }) => created_at.slice(0, length)));
  const begun = { hour: begunIn('2026-12-01T07'.length), day: begunIn('2026-12-01'.length) };
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
    for (const interval of ['hour', 'day'] as const) {
      const { points } = await get(user, `/usage/timeseries?interval=${interval}`);
      expect(points).toHaveLength(interval === 'hour' ? 24 : 30);
      const busy = points.filter((point: any) => point.calls > 0).length;
      expect([total(points), busy], interval).toEqual([mended, begun[interval].size]);
    }
    return untimed(now);
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
  const later = untimed(await get(user, '/usage?tenant=b'));
  expect(later).toMatchObject({ calls: 1, succeeded: 1, llm_calls: 2 });
  await untilGone(db, failed);
  while ((await foldUsage(db, 5_000)) > 0);
  expect(untimed(await get(user, '/usage?tenant=b'))).toEqual(later);
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
  expect(number).toBe(4);
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
  const compute = untimed(await get(user, '/usage/compute'));
  expect(compute).toMatchObject({ ...sums, agents: [{ agent: `${org}/finder`, version: 'v1', ...sums }], rest: null });
  expect((await user.delete(`/runs/${run_id}?purge=true`)).status).toBe(200);
  await emptyRun(db, run_id);
  expect(untimed(await get(user, '/usage/compute'))).toEqual(compute);
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
