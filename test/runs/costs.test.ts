import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { closeAccount, deleteClosedAccount } from '../../db/accounts.ts';
import type { Db } from '../../db/index.ts';
import { insertLlmCall } from '../../db/llm-calls.ts';
import { purgeRunsOf } from '../../db/purges.ts';
import { getAccountOf } from '../../db/runs.ts';
import { until } from '../harness/orchflow.ts';
import { expectFault } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';

/** What runs have cost so far: they are found and sorted by it, and it is forgotten with them. */

const story = useStory({}, { worker: false });

const start = async (as = story.user): Promise<string> => (await as.startRun({ task: 'Launch a newsletter.' })).run_id;

const find = async (query: string): Promise<string[]> => {
  const { status, body } = await story.user.get(`/runs?${query}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body.runs.map(({ run_id }: { run_id: string }) => run_id);
};

/** A call whose price is known, unless it is null. */
const pay = (
  run_id: string,
  cost_usd: number | null,
  call_id = `${run_id}/${Math.random()}`,
  { db = story.orchflow.db, provider_id = 'prv_x' }: { db?: Db; provider_id?: string | null } = {},
) =>
  insertLlmCall(db, {
    call_id,
    run_id,
    task_id: null,
    purpose: 'split_tasks',
    vendor: 'openai',
    model: 'm',
    provider_id,
    finish: 'stop',
    input_tokens: 1,
    output_tokens: 1,
    cost_usd,
    tool_calls: null,
    text: '',
  });

test('runs are found and sorted by what they have cost, each call once, also of calls at once', async () => {
  const [free, unknown, cheap, dear] = [await start(), await start(), await start(), await start()];
  await start(await story.orchflow.register());
  await pay(unknown, null);
  await Promise.all(Array.from({ length: 10 }, () => pay(cheap, 0.1)));
  await Promise.all(Array.from({ length: 5 }, () => pay(cheap, 0.25, 'twice')));
  await pay(dear, 1.250_000_001);

  const { runs } = (await story.user.get('/runs?sort=-cost_usd')).body;
  expect(runs.map(({ run_id, cost_usd }: any) => [run_id, cost_usd]).slice(0, 2)).toEqual([
    [dear, 1.250_000_001],
    [cheap, 1.25],
  ]);
  for (const { run_id, cost_usd } of runs) {
    expect((await story.user.get(`/runs/${run_id}`)).body.usage.cost_usd, run_id).toBe(cost_usd);
  }
  const byId = [free, unknown].toSorted();
  expect(await find('sort=cost_usd')).toEqual([...byId, cheap, dear]);
  expect(await find('sort=-cost_usd')).toEqual([dear, cheap, ...byId.toReversed()]);
  expect(await find('cost_usd_from=1.25&sort=-created_at')).toEqual([dear, cheap]);
  expect(await find('cost_usd_from=0.000000001&cost_usd_to=1.25')).toEqual([cheap]);
  expect(await find('cost_usd_to=0&tag=none')).toEqual([]);
  expect((await story.user.get('/runs/counts?cost_usd_to=0')).body.total).toBe(2);

  for (const sort of ['cost_usd', '-cost_usd']) {
    const paged: string[] = [];
    for (let cursor = ''; paged.length < 4;) {
      const { body } = await story.user.get(`/runs?limit=1&sort=${sort}${cursor}`);
      paged.push(body.runs[0].run_id);
      expect(body.has_more).toBe(paged.length < 4);
      cursor = `&cursor=${body.next_cursor}`;
      if (paged.length === 1) expectFault(await story.user.get(`/runs?limit=1${cursor}`), '/cursor');
    }
    expect(paged).toEqual(await find(`sort=${sort}`));
  }
  const { next_cursor } = (await story.user.get('/runs?limit=1')).body;
  expectFault(await story.user.get(`/runs?sort=cost_usd&cursor=${next_cursor}`), '/cursor');
});

test('a run has a cost from its first moment, and none once it is purged, whatever is journalled yet', async () => {
  const { db } = story.orchflow;
  const run_id = await start();
  const account_id = (await getAccountOf(db, run_id))!;
  const rows = () => db.selectFrom('run_costs').selectAll().where('run_id', '=', run_id).execute();
  expect(await rows()).toEqual([{ run_id, account_id, cost_usd: '0' }]);
  await story.user.delete(`/runs/${run_id}`);
  await pay(run_id, 0.5, 'before');
  expect(await rows()).toEqual([{ run_id, account_id, cost_usd: '0.5' }]);

  let meanwhile: Promise<unknown> | undefined;
  await db.transaction().execute(async (trx) => {
    await sql`select from runs where run_id = ${run_id} for update`.execute(trx);
    await sql`select purge_run(${run_id})`.execute(trx);
    meanwhile = pay(run_id, 0.5, 'meanwhile');
    const blocked = sql`
      select from pg_stat_activity
      where wait_event_type = 'Lock' and query like '%journal_call%' and datname = current_database()`;
    await until(async () => (await blocked.execute(db)).rows.length > 0, 'the call waits for the purge');
  });
  await meanwhile;
  await pay(run_id, 0.5, 'after');
  await pay(run_id, 0.5, 'before');
  expect(await rows()).toEqual([]);
});

test('a call that is in flight while its account is deleted is journalled, and leaves no cost', async () => {
  const { db } = story.orchflow;
  const run_id = await start();
  const account_id = (await getAccountOf(db, run_id))!;
  await pay(run_id, 0.5);
  await closeAccount(db, account_id);
  await purgeRunsOf(db, account_id, 10);
  await pay(run_id, 0.5);
  expect(await deleteClosedAccount(db, account_id)).toBe(true);
  await pay(run_id, 0.5, 'last');
  expect(await db.selectFrom('llm_calls').select('run_id').where('call_id', '=', 'last').execute()).toHaveLength(1);
  expect(await db.selectFrom('run_costs').selectAll().where('account_id', '=', account_id).execute()).toEqual([]);
});

test('what is spent of the operator while its account is deleted has the name of nobody', async () => {
  const { db } = story.orchflow;
  const run_id = await start();
  const account_id = (await getAccountOf(db, run_id))!;
  await closeAccount(db, account_id);
  const deleting = await db.transaction().execute(async (trx) => {
    await pay(run_id, 0.5, `${run_id}/open`, { db: trx, provider_id: null });
    const purged = purgeRunsOf(db, account_id, 10).then(() => deleteClosedAccount(db, account_id));
    await until(async () => {
      const waiting =
        await sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(
          db,
        );
      return waiting.rows.length === 1;
    }, 'the purge waits for the call');
    return { purged };
  });
  expect(await deleting.purged).toBe(true);
  const spent = db.selectFrom('managed_spending').select(['account_id', 'cost_usd']);
  expect(await spent.execute()).toEqual([{ account_id: '', cost_usd: '0.5' }]);
});
