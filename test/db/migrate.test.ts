import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { sql } from 'kysely';
import { createDb, type Db } from '../../db/index.ts';
import { migrateToLatest } from '../../db/migrate.ts';
import { runCommand } from '../harness/command.ts';
import { createDatabase, createEnvironment } from '../harness/orchflow.ts';
import { untilBlocked } from '../harness/rows.ts';
import { killProcesses, startApiProcess, startWorkerProcess } from '../harness/processes.ts';
import { restoreDatabase } from '../upgrade/release.ts';

const migrate = (env: Record<string, string>) => runCommand('migrate', env);

afterEach(killProcesses);

test('npm run migrate makes a Temporal that knows nothing of Orchflow ready for runs, and may be run again', async () => {
  const namespace = `ns-${randomBytes(4).toString('hex')}`;
  const env = await createEnvironment({ TEMPORAL_NAMESPACE: namespace });
  const first = await migrate(env);
  for (const part of [`namespace ${namespace}`, 'OrchflowAccount', 'OrchflowStatus', 'OrchflowWaitingTasks']) {
    expect(first.stdout).toContain(part);
  }

  const [api] = await Promise.all([startApiProcess(env), startWorkerProcess(env)]);
  const user = await api.register();
  const run = await user.startRun({ task: 'Launch a newsletter' });
  await run.until('completed');

  const second = await migrate(env);
  expect(second.stdout).toContain('The database is up to date');
  expect(second.stdout).toContain('Temporal is up to date');
});

test('a column that a migration adds below an API and a worker at work costs no try', async () => {
  const env = await createEnvironment();
  const [api, worker] = await Promise.all([startApiProcess(env), startWorkerProcess(env)]);
  const user = await api.register();
  const goal = { task: 'Launch a newsletter' };
  await (await user.startRun(goal)).until('completed');

  const db = createDb(env.DATABASE_URL!, 1);
  await db.schema.alterTable('runs').addColumn('of_a_later_release', 'text').execute();
  await db.destroy();

  const after = await user.startRun(goal);
  expect(await after.until('completed')).toMatchObject({ warnings: [], error: null });
  expect(worker.log()).not.toContain('cached plan must not change result type');
});

test('npm run migrate without TEMPORAL_ADDRESS migrates the database only, and says so', async () => {
  const { TEMPORAL_ADDRESS: _, ...env } = await createEnvironment();
  const { stdout } = await migrate(env);
  expect(stdout).toContain('The database is up to date');
  expect(stdout).toContain('TEMPORAL_ADDRESS is not set');
});

/** Works on a database, and leaves it. */
async function withDb<T>(url: string, work: (db: Db) => Promise<T>): Promise<T> {
  const db = createDb(url, 1);
  return work(db).finally(() => db.destroy());
}

/** All that the catalog says of the schema, a line each. The order of columns is left out: migrations add at the end. */
async function schemaOf(db: Db): Promise<string[]> {
  const { rows } = await sql<{ line: string }>`
    select 'function ' || pg_get_functiondef(oid) as line from pg_proc where pronamespace = 'public'::regnamespace
    union all
    select concat_ws(' ', 'column', relname, relkind, relpersistence, attname, format_type(atttypid, atttypmod),
      'not null', attnotnull, 'identity', attidentity, 'default', pg_get_expr(adbin, adrelid))
    from pg_class
    join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
    left join pg_attrdef on adrelid = attrelid and adnum = attnum
    where relnamespace = 'public'::regnamespace and relkind <> 'i'
    union all
    select 'index ' || indexdef from pg_indexes where schemaname = 'public'
    union all
    select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
    union all
    select concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid))
    from pg_constraint where connamespace = 'public'::regnamespace`.execute(db);
  return rows.map(({ line }) => line).toSorted();
}

test('a database of an older release, with its data, is migrated to the schema of a new one', async () => {
  const older = await restoreDatabase('0.1.0');
  await withDb(older, async (db) => {
    expect(await sql`select from runs`.execute(db)).toMatchObject({ rows: { length: 9 } });
    await sql`update llm_calls set cost_usd = 0.1 where run_id in (select run_id from llm_calls limit 1)`.execute(db);
    await migrateToLatest(db);
    const costs = await sql<{ cost_usd: number }>`
      select runs.run_id, paid.cost_usd::double precision, paid.account_id = runs.account_id as is_own,
        (usage_of(runs.run_id) ->> 'cost_usd')::double precision as of_usage
      from runs left join run_costs as paid using (run_id)`.execute(db);
    expect(costs.rows).toMatchObject(costs.rows.map((row: any) => ({ cost_usd: row.of_usage, is_own: true })));
    expect(Math.max(...costs.rows.map(({ cost_usd }) => cost_usd))).toBeGreaterThan(0);
  });
  const [migrated, fresh] = await Promise.all([older, await createDatabase()].map((url) => withDb(url, schemaOf)));
  expect(migrated).toEqual(fresh);
  expect(fresh!.map((line) => line.split(' ', 1)[0])).toEqual(
    expect.arrayContaining(['function', 'column', 'index', 'constraint']),
  );
});

test('a migration lets requests by while another session holds a table, and goes on when it lets go', async () => {
  const url = await restoreDatabase('0.1.0');
  const { promise: letGo, resolve: release } = Promise.withResolvers<void>();
  const { promise: held, resolve: holds } = Promise.withResolvers<void>();
  const dump = withDb(url, (db) =>
    db.transaction().execute(async (trx) => {
      await sql`select from runs`.execute(trx);
      holds();
      await letGo;
    }),
  );
  await held;
  const { promise: heard, resolve: onHeld } = Promise.withResolvers<void>();
  const migrated = withDb(url, (db) => migrateToLatest(db, { onHeld }));
  await Promise.race([heard, migrated]);
  expect(await withDb(url, (db) => sql`select from runs`.execute(db))).toMatchObject({ rows: { length: 9 } });
  release();
  const since = readdirSync(path.join(import.meta.dirname, '../../db/migrations')).filter((file) => file >= '0019');
  expect(await migrated).toEqual(since.map((file) => path.parse(file).name).toSorted());
  await dump;
});

test('functions that cannot be replaced leave the tables as they were: no process meets the one without the other', async () => {
  await withDb(await restoreDatabase('0.1.0'), async (db) => {
    await sql`create function usd(amount double precision) returns text language sql return ''`.execute(db);
    const before = await schemaOf(db);
    await expect(migrateToLatest(db)).rejects.toThrow('cannot change return type of existing function');
    expect(await schemaOf(db)).toEqual(before);
    await sql`drop function usd`.execute(db);
    await migrateToLatest(db);
  });
});

test('what a process of the release before writes is counted, of a migration that it waits for, and after it', async () => {
  const url = await restoreDatabase('0.1.0');
  const { promise: letGo, resolve: release } = Promise.withResolvers<void>();
  const { promise: held, resolve: holds } = Promise.withResolvers<string>();
  const busy = withDb(url, (db) =>
    db.transaction().execute(async (trx) => {
      await sql`lock table llm_calls in row exclusive mode`.execute(trx);
      const { rows } = await sql<{ run_id: string }>`select run_id from llm_calls limit 1`.execute(trx);
      holds(rows[0]!.run_id);
      await letGo;
    }),
  );
  const run_id = await held;
  const journal = (name: string) =>
    withDb(url, (db) =>
      sql`
      with written as (insert into texts (text_id, run_id, text) values (${name}, ${run_id}, ''))
      insert into llm_calls (call_id, run_id, purpose, vendor, model, finish, input_tokens, output_tokens, cost_usd)
      values (${name}, ${run_id}, 'split_tasks', 'openai', 'm', 'stop', 1, 1, 0.25)`.execute(db),
    );
  await withDb(url, async (db) => {
    const migrated = withDb(url, (own) => migrateToLatest(own));
    await untilBlocked(db, 'the migration waits for the table');
    const meanwhile = journal('meanwhile');
    await sql`select pg_sleep(0.2)`.execute(db);
    release();
    await Promise.all([busy, migrated, meanwhile]);
    await journal('after');
    const own = sql`select 'run_later', account_id, task, agents, human_gates, ask_me_about, false from runs`;
    await sql`
      insert into runs (run_id, account_id, task, agents, human_gates, ask_me_about, require_approval)
      ${own} where run_id = ${run_id}`.execute(db);
    const { rows } = await sql`
      select run_id, cost_usd::float8 from run_costs where run_id in (${run_id}, 'run_later') order by run_id`.execute(
      db,
    );
    expect(rows).toEqual(
      [
        { run_id, cost_usd: 0.5 },
        { run_id: 'run_later', cost_usd: 0 },
      ].toSorted((one, other) => (one.run_id < other.run_id ? -1 : 1)),
    );
  });
});

test('several processes may migrate at once, an empty database and one that is up to date', async () => {
  const url = await createDatabase('template0');
  const migrateAtOnce = () => Promise.all(Array.from({ length: 4 }, () => withDb(url, (db) => migrateToLatest(db))));
  const applied = await migrateAtOnce();
  expect(applied.filter((names) => names.length > 0)).toHaveLength(1);
  expect(await migrateAtOnce()).toEqual([[], [], [], []]);
});

test('the body of every SQL function is one that Postgres can read', async () => {
  await withDb(await createDatabase(), async (db) => {
    // They are made without a look at it, because one may call another that is made after it.
    const { rows } = await sql<{ text: string }>`
      select pg_get_functiondef(oid) as text from pg_proc where pronamespace = 'public'::regnamespace`.execute(db);
    expect(rows.length).toBeGreaterThan(0);
    for (const { text } of rows) await sql.raw(text).execute(db);
  });
});
