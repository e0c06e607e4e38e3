import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startPostgres, type Postgres } from '../../src/embedded/postgres.ts';
import { killRecorded } from '../../src/embedded/processes.ts';
import { findTemporal, startTemporal, type Temporal } from '../../src/embedded/temporal.ts';

export type Backends = Awaited<ReturnType<typeof startBackends>>;

/**
 * A PostgreSQL and a Temporal with their files in a directory of their own, for benches and chaos. Each can be started
 * again, on its files and its port. `settings` are those of PostgreSQL. None outlives this process, and `stop` removes the directory.
 */
export async function startBackends(
  name: string,
  report: (line: string) => void,
  settings: Record<string, string> = {},
) {
  const dir = await mkdtemp(path.join(tmpdir(), `orchflow-${name}-`));
  const pidFile = (server: string) => path.join(dir, `${server}.json`);
  process.once('exit', () => ['postgres', 'temporal'].forEach((server) => killRecorded(pidFile(server))));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

  const temporalFile = path.join(dir, 'temporal.db');
  const binary = await findTemporal({ report });
  const postgresAt = (port?: number) =>
    startPostgres({ dataDir: path.join(dir, 'postgres'), port, pidFile: pidFile('postgres'), report, settings });
  const temporalAt = (port?: number) =>
    startTemporal({
      binary,
      dbFile: temporalFile,
      port,
      headless: true,
      report,
      logFile: path.join(dir, 'temporal.log'),
      pidFile: pidFile('temporal'),
    });
  const started: [Postgres, Temporal] = await Promise.all([postgresAt(), temporalAt()]);
  let [postgres, temporal] = started;

  return {
    dir,
    temporalFile,
    get postgres() {
      return postgres;
    },
    get temporal() {
      return temporal;
    },
    async restartPostgres() {
      return (postgres = await postgresAt(postgres.port));
    },
    async restartTemporal() {
      return (temporal = await temporalAt(temporal.port));
    },
    async stop() {
      await Promise.all([postgres.stop(), temporal.stop()]);
      await rm(dir, { recursive: true, force: true });
    },
  };
}
