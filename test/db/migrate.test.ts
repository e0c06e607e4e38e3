import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { sql } from 'kysely';
import { createDb, type Db } from '../../db/index.ts';
import { migrateToLatest } from '../../db/migrate.ts';
import { createDatabase, createEnvironment } from '../harness/orchflow.ts';
import { killProcesses, startApiProcess, startWorkerProcess } from '../harness/processes.ts';
import { restoreDatabase } from '../upgrade/release.ts';

const migrate = (env: Record<string, string>) =>
  promisify(execFile)(process.execPath, [path.join(import.meta.dirname, '../../src/migrate.ts')], { env });

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

test('a column that a migration adds below an API and a worker at work costs one more try', async () => {
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
  expect(worker.log().match(/"message":"cached plan must not change result type"/g)).toHaveLength(1);
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
    select concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid))
    from pg_constraint where connamespace = 'public'::regnamespace`.execute(db);
  return rows.map(({ line }) => line).toSorted();
}

test('a database of an older release, with its data, is migrated to the schema of a new one', async () => {
  const older = await restoreDatabase('0.1.0');
  await withDb(older, async (db) => {
    expect(await sql`select from runs`.execute(db)).toMatchObject({ rows: { length: 9 } });
    await migrateToLatest(db);
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
