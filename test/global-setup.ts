import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
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
      settings: { fsync: 'off', max_connections: '300' },
    }),
    findTemporal({ report }).then((binary) =>
      startTemporal({ binary, headless: true, report, logFile: path.join(dir, 'temporal.log'), pidFile: pidFiles[1] }),
    ),
    workflowBundle({ encrypts: false }),
  ]);

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

async function createDatabase(postgresUrl: string, name: string): Promise<string> {
  const admin = createDb(postgresUrl, 1);
  const { sql } = await import('kysely');
  await sql`create database ${sql.ref(name)}`.execute(admin).finally(() => admin.destroy());
  return Object.assign(new URL(postgresUrl), { pathname: `/${name}` }).href;
}
