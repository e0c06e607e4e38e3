import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { getAccountOf } from '../../db/runs.ts';
import { countRuns, listRuns, type RunFilter, type RunPage } from '../../db/run-lists.ts';
import { define } from '../harness/orchestration.ts';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { expectFault } from '../harness/problem.ts';

/** Runs are found again: by their labels, words, status, kind and time. */

let orchflow: Orchflow;
let user: User;

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
});
afterAll(() => orchflow.stop());
beforeEach(async () => {
  user = await orchflow.register();
});

const start = async (run: Record<string, unknown>, as = user): Promise<string> =>
  (await as.startRun({ task: 'Launch a newsletter.', ...run })).run_id;

const find = async (query: string | [string, string][], as = user): Promise<string[]> => {
  const { status, body } = await as.get(`/runs?${new URLSearchParams(query).toString()}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body.runs.map(({ run_id }: { run_id: string }) => run_id);
};

test('a run has the labels that it was started with, and is found by each, and by several together', async () => {
  const metadata = { customer: 'c_17', 'order no.': 'a:b=c' };
  const one = await start({ metadata, tags: ['launch', 'für Ä'] });
  const other = await start({ metadata: { customer: 'c_18' }, tags: ['launch'] });
  const none = await start({});
  await start({ metadata, tags: ['launch'] }, await orchflow.register());

  expect((await user.get(`/runs/${one}`)).body).toMatchObject({ metadata, tags: ['launch', 'für Ä'] });
  expect((await user.get(`/runs/${none}`)).body).toMatchObject({ metadata: {}, tags: [] });
  expect((await user.get('/runs?limit=1&sort=created_at')).body.runs[0]).toMatchObject({ run_id: one, metadata });

  expect(await find('tag=launch')).toEqual([other, one]);
  expect(await find('tag=launch&sort=created_at')).toEqual([one, other]);
  expect(
    await find([
      ['tag', 'launch'],
      ['tag', 'für Ä'],
    ]),
  ).toEqual([one]);
  expect(await find([['metadata', 'customer:c_17']])).toEqual([one]);
  expect(
    await find([
      ['metadata', 'order no.:a:b=c'],
      ['metadata', 'customer:c_17'],
      ['tag', 'launch'],
    ]),
  ).toEqual([one]);
  expect(
    await find([
      ['metadata', 'customer:c_17'],
      ['metadata', 'customer:c_18'],
    ]),
  ).toEqual([]);
  expect(await find('tag=Launch')).toEqual([]);
});

test('words of the goal find it, whatever they look like', async () => {
  const weekly = await start({ task: 'Write a weekly newsletter about Größe & "quotes"' });
  const daily = await start({ task: 'Write a daily newsletter' });
  await start({ task: 'Write a weekly newsletter' }, await orchflow.register());
  expect(await find([['q', 'newsletter']])).toEqual([daily, weekly]);
  expect(await find([['q', 'WEEKLY größe']])).toEqual([weekly]);
  expect(await find([['q', '"weekly newsletter"']])).toEqual([weekly]);
  expect(await find([['q', 'newsletter -weekly']])).toEqual([daily]);
  expect(await find([['q', 'daily or größe']])).toEqual([daily, weekly]);
  for (const odd of ["'", '"', '& | ! ( )', "a' & 'b", '\\', ':*']) expect(await find([['q', odd]]), odd).toEqual([]);
});

test('status, kind, orchestration and time narrow it down, and the counts say how many there are', async () => {
  const goal = await start({ tags: ['a'] });
  const id = await define(user, [{ id: 'ask', type: 'human' }]);
  const { body } = await user.post(`/orchestrations/${id}/run?wait=0`, {
    message: 'Go.',
    tags: ['a'],
    metadata: { k: 'v' },
  });
  expect(body.warnings ?? []).toEqual([]);
  const before = (await user.get(`/runs/${goal}`)).body.created_at;
  await user.delete(`/runs/${goal}`);

  expect(await find('kind=goal')).toEqual([goal]);
  expect(await find('kind=orchestration&tag=a&metadata=k:v')).toEqual([body.run_id]);
  expect(await find(`orchestration_id=${id}`)).toEqual([body.run_id]);
  expect(await find('status=cancelled')).toEqual([goal]);
  expect(await find([['created_after', before]])).toEqual([body.run_id]);
  expect(await find([['created_before', before]])).toEqual([]);

  const zeros = { pending: 0, running: 0, waiting_human: 0, completed: 0, failed: 0, cancelled: 0 };
  expect((await user.get('/runs/counts')).body).toEqual({
    total: 2,
    by_status: { ...zeros, pending: 1, cancelled: 1 },
  });
  expect((await user.get('/runs/counts?tag=a&kind=goal')).body).toEqual({
    total: 1,
    by_status: { ...zeros, cancelled: 1 },
  });
  expect((await user.get('/runs/counts?tag=b')).body).toEqual({ total: 0, by_status: zeros });
});

test.each<[string, Record<string, unknown>, string]>([
  ['21 pairs', { metadata: Object.fromEntries(Array.from({ length: 21 }, (_, n) => [`k${n}`, ''])) }, '/metadata'],
  ['a key with a colon', { metadata: { 'a:b': 'c' } }, '/metadata/a:b'],
  ['a value that is too long', { metadata: { a: 'x'.repeat(501) } }, '/metadata/a'],
  ['a value that is no text', { metadata: { a: 1 } }, '/metadata/a'],
  ['a tag twice', { tags: ['a', 'a'] }, '/tags'],
  ['a tag of two lines', { tags: ['a\nb'] }, '/tags/0'],
])('%s is refused', async (_, given, pointer) => {
  expectFault(await user.post('/runs', { task: 'Go.', ...given }), pointer);
});

test.each([
  'metadata=customer',
  'metadata=:c',
  'q=%20',
  `tag=${'x'.repeat(51)}`,
  'created_after=today',
  'cost_usd_from=-1',
  'cost_usd_to=cheap',
  'sort=cost',
  'kind=x',
])('the filter %s is refused', async (query) => {
  expect((await user.get(`/runs?${query}`)).status).toBe(422);
  if (!query.startsWith('sort')) expect((await user.get(`/runs/counts?${query}`)).status).toBe(422);
});

test('a time is one with any offset, and a filter that may be given often says what is wrong with it', async () => {
  expect(await find([['created_before', '2026-01-01T00:00:00+20:00']])).toEqual([]);
  const { errors } = (await user.get(`/runs?tag=a&tag=${'x'.repeat(51)}&metadata=a:b&metadata=c&q=a&q=b`)).body;
  expect(
    Object.fromEntries(errors.map((error: { pointer: string; detail: string }) => [error.pointer, error.detail])),
  ).toEqual({
    '/tag/1': expect.stringContaining('50'),
    '/metadata/1': 'must be a key and a value with a colon between them',
    '/q': 'is given more than once',
  });
  const tags = Array.from({ length: 21 }, (_, n) => `tag=${n}`).join('&');
  expect((await user.get(`/runs?${tags}`)).body.errors[0].detail).not.toContain('more than once');
});

test('no page of a hundred thousand runs takes a sequential scan', async () => {
  const { db } = orchflow;
  const run_id = await start({ tags: ['rare'], metadata: { customer: 'c_1' } });
  // Each statement has a timeout, and triggers take long.
  for (let first = 1; first < 100_000; first += 10_000) {
    await db.transaction().execute(async (trx) => {
      await sql`set local session_replication_role = replica`.execute(trx);
      const numbers = sql`(select n, 'run_' || md5(n::text) as id from generate_series(${first}::int, ${first + 9_999}::int) as n)`;
      await sql`
        insert into runs (run_id, account_id, task, agents, human_gates, ask_me_about, require_approval, status, kind, tags, created_at)
        select id, account_id, 'Goal number ' || n, agents, human_gates, ask_me_about, false,
          (array['completed', 'failed', 'cancelled'])[1 + n % 3], kind, '{often}', created_at - n * interval '1 second'
        from runs, ${numbers} as numbers where run_id = ${run_id}`.execute(trx);
      await sql`
        insert into run_search (run_id, document) select run_id, run_document(account_id, task, tags, metadata)
        from runs join ${numbers} as numbers on id = run_id`.execute(trx);
      // As calls of models do, each of which adds to what stands there.
      await sql`
        insert into run_costs (run_id, account_id) select id, account_id
        from runs, ${numbers} as numbers where run_id = ${run_id}`.execute(trx);
      await sql`
        update run_costs set cost_usd = ('x' || left(md5(run_id), 4))::bit(16)::int / 10000.0
        from ${numbers} as numbers where run_id = id`.execute(trx);
    });
  }
  // As PostgreSQL does itself from time to time: what is new in the index is sorted in, and the planner knows what there is.
  await sql`vacuum analyze runs, run_search, run_costs`.execute(db);

  const account_id = (await getAccountOf(db, run_id))!;
  const filters: RunFilter[] = [
    {},
    { tags: ['rare'] },
    { tags: ['often'] },
    { metadata: [['customer', 'c_1']] },
    { q: '77777' },
    { q: 'goal' },
    { status: 'failed' },
    { status: 'waiting_human' },
    { kind: 'orchestration' },
    { orchestration_id: 'orch_x' },
    { kind: 'agent' },
    { agent_id: 'agt_x' },
    { origin: 'orchestrations' },
    { tags: ['often'], status: 'cancelled', q: 'goal -1' },
    { created_after: '2026-01-01T00:00:00.000Z' },
    { cost_usd_from: 6.55 },
    { cost_usd_from: 0.5, cost_usd_to: 6, status: 'failed' },
  ];
  const created_at = new Date().toISOString();
  await db.transaction().execute(async (trx) => {
    const scanned = async () => {
      const { rows } = await sql<{ read: number }>`
        select sum(seq_tup_read)::int as read from pg_stat_xact_user_tables
        where relname in ('runs', 'run_search', 'run_costs')`.execute(trx);
      return rows[0]!.read;
    };
    const pages = (['created_at', 'cost_usd'] as const).flatMap((sort): RunPage[] => [
      { limit: 21, sort, descending: true },
      { limit: 21, sort, descending: true, after: { value: sort === 'cost_usd' ? 3 : created_at, id: 'run_' } },
      { limit: 21, sort, descending: false },
    ]);
    for (const filter of filters) {
      for (const page of pages) {
        await listRuns(trx, account_id!, filter, page);
        expect(await scanned(), JSON.stringify([filter, page])).toBe(0);
      }
    }
    await countRuns(trx, account_id!, { status: 'failed' });
    expect(await scanned()).toBe(0);
    await sql`select count(*) from runs where error is null`.execute(trx);
    expect(await scanned(), 'this test sees such reads').toBeGreaterThan(100_000);
  });
  expect((await user.get('/runs/counts?status=failed')).body.total).toBe(33_334);
  expect(await find('tag=rare')).toEqual([run_id]);
});
