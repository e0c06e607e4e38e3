import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sql } from 'kysely';
import type { TestProject } from 'vitest/node';
import { createDb } from '../db/index.ts';
import { migrateToLatest } from '../db/migrate.ts';
import { startPostgres } from '../src/embedded/postgres.ts';
import { killRecorded } from '../src/embedded/processes.ts';
import { findTemporal, startTemporal } from '../src/embedded/temporal.ts';
import { workflowBundle } from '../src/temporal/workflow-bundle.ts';
import { assertNoSecret } from './harness/canaries.ts';

declare module 'vitest' {
  interface ProvidedContext {
    postgresUrl: string;
    temporalAddress: string;
    workflowBundle: string;
  }
}

/**
 * Nothing here outlives the machine, and no test stops this server. Hundreds of databases are not looked through for what a test of
 * some seconds leaves to clean up.
 */
const settings = {
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  autovacuum: 'off',
  max_connections: '300',
};

/** One real Postgres with a migrated template database, one real Temporal, and the bundle of the workflows, for all tests. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dir = await mkdtemp(path.join(tmpdir(), 'orchflow-test-'));
  const report = (line: string) => console.log(line);
  const pidFiles = ['postgres', 'temporal'].map((name) => path.join(dir, `${name}.json`)) as [string, string];
  // Also when the run is interrupted, which skips the teardown.
  process.once('exit', () => pidFiles.forEach((file) => killRecorded(file)));

  const [postgres, temporal, bundle] = await Promise.all([
    startPostgres({
      dataDir: path.join(dir, 'postgres'),
      pidFile: pidFiles[0],
      report,
      settings,
    }),
    findTemporal({ report }).then((binary) =>
      startTemporal({ binary, headless: true, report, logFile: path.join(dir, 'temporal.log'), pidFile: pidFiles[1] }),
    ),
    workflowBundle({ encrypts: false }),
  ]);

  await hashOnce(postgres.url);
  const db = createDb(await createDatabase(postgres.url, 'template'), 1);
  await migrateToLatest(db).finally(() => db.destroy());

  project.provide('postgresUrl', postgres.url);
  project.provide('temporalAddress', temporal.address);
  project.provide('workflowBundle', bundle.codePath);
  return async () => {
    await Promise.all([postgres.stop(), temporal.stop()]);
    for (const log of ['temporal.log', 'postgres/postgres.log']) {
      assertNoSecret(await readFile(path.join(dir, log), 'utf8'), log);
    }
    await rm(dir, { recursive: true, force: true });
  };
}

/** Sessions are opened by the thousand: for each, both ends would hash the password 4096 times. */
async function hashOnce(postgresUrl: string): Promise<void> {
  const { username, password } = new URL(postgresUrl);
  const admin = createDb(postgresUrl, 1);
  await sql`set scram_iterations = 1`.execute(admin);
  await sql`alter role ${sql.ref(username)} password ${sql.lit(password)}`
    .execute(admin)
    .finally(() => admin.destroy());
}

async function createDatabase(postgresUrl: string, name: string): Promise<string> {
  const admin = createDb(postgresUrl, 1);
  await sql`create database ${sql.ref(name)}`.execute(admin).finally(() => admin.destroy());
  return Object.assign(new URL(postgresUrl), { pathname: `/${name}` }).href;
}
