import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDb } from '../../db/index.ts';
import { migrateToLatest } from '../../db/migrate.ts';
import { loadReencryptConfig } from '../../src/config.ts';
import { startPostgres, type Postgres } from '../../src/embedded/postgres.ts';
import { findPgvector } from '../harness/pgvector.ts';

/** What `roles` of the compose file does, on a PostgreSQL with the databases of 0.1.0. */

const isHere = spawnSync('psql', ['--version']).status === 0;
if (!isHere) console.log('docker/roles.sh is not run: there is no psql here.');

const pgvector = isHere ? await findPgvector() : undefined;

let dir: string;
let postgres: Postgres;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'orchflow-roles-'));
  const settings = { fsync: 'off', ...pgvector };
  postgres = await startPostgres({ dataDir: path.join(dir, 'postgres'), report: () => {}, settings });
});
afterAll(async () => {
  await postgres.stop();
  await rm(dir, { recursive: true, force: true });
});

const fileOf = (name: string) => path.join(dir, `${name}-password`);
const urlOf = (user: string, database: string) => `postgres://${user}@127.0.0.1:${postgres.port}/${database}`;

/** `kept`: what .env has as the superuser's password. */
function makeRoles(kept?: string) {
  const script = path.join(import.meta.dirname, '../../docker/roles.sh');
  const { password } = new URL(postgres.url);
  const server = { PGHOST: '127.0.0.1', PGPORT: String(postgres.port), PGUSER: 'orchflow', PGPASSWORD: password };
  const files = { ORCHFLOW_PASSWORD_FILE: fileOf('orchflow'), TEMPORAL_PASSWORD_FILE: fileOf('temporal') };
  const env = { PATH: process.env.PATH, ...server, ...files, POSTGRES_PASSWORD: kept ?? '' };
  return promisify(execFile)('/bin/sh', [script], { env });
}

async function query(url: string, statement: string): Promise<unknown[]> {
  const db = createDb(url, 1);
  return (
    await sql
      .raw(statement)
      .execute(db)
      .finally(() => db.destroy())
  ).rows;
}

/** As Orchflow's and Temporal's containers log in. */
function addressOf(user: string, name: string, database: string): string {
  const ENCRYPTION_KEY = Buffer.alloc(32).toString('base64');
  const env = { DATABASE_URL: urlOf(user, database), DATABASE_PASSWORD_FILE: fileOf(name), ENCRYPTION_KEY };
  return loadReencryptConfig(env).DATABASE_URL;
}

test.skipIf(!isHere)(
  'databases that were the superuser’s go over to a user each, with all that is in them',
  async () => {
    const before = createDb(postgres.url, 1);
    await migrateToLatest(before);
    await sql.raw('create database temporal').execute(before);
    await sql.raw('drop extension if exists vector cascade').execute(before);
    await before.destroy();
    const old = Object.assign(new URL(postgres.url), { pathname: '/temporal' }).href;
    await query(old, 'create extension if not exists btree_gin').catch(() => {});
    await query(old, 'create table shards (id serial primary key, "Odd name" text); insert into shards default values');
    await query(old, `create type kind as enum ('a'); create view seen as select * from shards`);
    await query(old, `create function f(a int, b text) returns int language sql as 'select 1'`);

    const { password } = new URL(postgres.url);
    await makeRoles(password);
    const passwords = await Promise.all(['orchflow', 'temporal'].map((name) => readFile(fileOf(name), 'utf8')));
    for (const made of passwords) expect(made).toMatch(/^[0-9a-f]{48}$/);

    const orchflow = addressOf('orchflow_app', 'orchflow', 'orchflow');
    const db = createDb(orchflow, 1);
    await migrateToLatest(db).finally(() => db.destroy());
    const [index] = await query(orchflow, `select to_regclass('chunks_nearest_384') is not null as is_there`);
    expect(index).toEqual({ is_there: pgvector !== undefined });
    await query(orchflow, 'alter table runs add column of_a_later_release text');
    await query(orchflow, 'drop function usd(numeric)').catch((error: Error) =>
      expect(error.message).not.toMatch(/owner/),
    );
    const [role] = await query(
      orchflow,
      'select rolsuper, rolcreatedb, rolcreaterole from pg_roles where rolname = user',
    );
    expect(role).toEqual({ rolsuper: false, rolcreatedb: false, rolcreaterole: false });

    const temporal = addressOf('temporal', 'temporal', 'temporal');
    await query(temporal, 'alter table shards add column more text; insert into shards default values; drop view seen');
    await query(temporal, `alter type kind add value 'b'`);
    await query(temporal, 'drop function f(int, text)');
    await query(addressOf('temporal', 'temporal', 'temporal_visibility'), 'create table executions (id int)');

    await expect(query(addressOf('orchflow_app', 'orchflow', 'temporal'), 'select 1')).rejects.toThrow(
      /permission denied/,
    );
    await expect(query(addressOf('temporal', 'temporal', 'orchflow'), 'select 1')).rejects.toThrow(/permission denied/);
  },
);

test.skipIf(!isHere)(
  'the next `up` keeps the passwords, and the superuser’s where .env has none is taken away',
  async () => {
    const orchflow = addressOf('orchflow_app', 'orchflow', 'orchflow');
    await makeRoles(new URL(postgres.url).password);
    expect(await query(postgres.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    await makeRoles();
    expect(addressOf('orchflow_app', 'orchflow', 'orchflow')).toBe(orchflow);
    expect(await query(orchflow, 'select 1 as one')).toEqual([{ one: 1 }]);
    await expect(query(postgres.url, 'select 1')).rejects.toThrow(/password authentication failed/);
  },
);

test('the password of a file goes into an address that has none, and into no other', async () => {
  const file = path.join(dir, 'any');
  await writeFile(file, 'p@ss/word:1\n');
  const load = (DATABASE_URL: string) =>
    loadReencryptConfig({
      DATABASE_URL,
      DATABASE_PASSWORD_FILE: file,
      ENCRYPTION_KEY: Buffer.alloc(32).toString('base64'),
    });
  expect(decodeURIComponent(new URL(load('postgres://me@db/x').DATABASE_URL).password)).toBe('p@ss/word:1');
  expect(load('postgres://me:own@db/x').DATABASE_URL).toBe('postgres://me:own@db/x');
});
