import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { sql } from 'kysely';
import { createDb } from '../../db/index.ts';
import { killRecorded } from '../../src/embedded/processes.ts';
import { findTemporal, startTemporal, type Temporal } from '../../src/embedded/temporal.ts';
import { startCommand, tryCommand } from './command.ts';
import {
  createDatabase,
  createEnvironment,
  createUser,
  startOrchflow,
  until,
  type Orchflow,
  type User,
} from './orchflow.ts';

/** Both sides as they are at a moment: a database, and the files of a Temporal. */
export type Backup = { database: string; files: string };

const nameOf = (url: string) => new URL(url).pathname.slice(1);

/** An Orchflow with a Temporal of its own, of both of which backups are made, and restored each by itself. */
export async function startRestorable(environment: Record<string, string> = {}) {
  const dir = await mkdtemp(path.join(tmpdir(), 'orchflow-restore-'));
  const pidFile = path.join(dir, 'temporal.json');
  process.once('exit', () => killRecorded(pidFile));
  const binary = await findTemporal({ report: () => {} });
  let temporal: Temporal | undefined;
  let orchflow: Orchflow | undefined;
  let env: Record<string, string> = {};
  let known: Pick<User, 'api_key' | 'webhook_secret' | 'email'> | undefined;

  async function startOn(files: string, port?: number): Promise<Temporal> {
    const dbFile = path.join(files, 'temporal.db');
    return startTemporal({
      binary,
      dbFile,
      port,
      logFile: path.join(dir, 'temporal.log'),
      pidFile,
      headless: true,
      report: () => {},
    });
  }

  let files = path.join(dir, 'first');
  await mkdir(files);
  temporal = await startOn(files);
  const port = Number(temporal.address.split(':')[1]);
  env = await createEnvironment({ TEMPORAL_ADDRESS: temporal.address, ...environment });

  const self = {
    get orchflow() {
      return orchflow!;
    },
    get env() {
      return env;
    },
    /** Starts what is there, and returns its one user. */
    async start(): Promise<User> {
      orchflow = await startOrchflow({ environment: env });
      known ??= await orchflow.register();
      return createUser(orchflow.url, known.api_key, known.webhook_secret, known.email);
    },
    /** Stops API and worker. */
    async stop(): Promise<void> {
      await orchflow?.stop();
      orchflow = undefined;
    },
    /** Of both sides, while API and worker are stopped. */
    async backUp(name: string): Promise<Backup> {
      await temporal!.stop();
      const copy = path.join(dir, name);
      await cp(files, copy, { recursive: true });
      const database = nameOf(await createDatabase(nameOf(env.DATABASE_URL!)));
      temporal = await startOn(files, port);
      return { database, files: copy };
    },
    /** What was copied stays as it is. */
    async restore({ database }: Pick<Backup, 'database'>, { files: from }: Pick<Backup, 'files'>): Promise<void> {
      await temporal!.stop();
      files = await mkdtemp(path.join(dir, 'restored-'));
      for (const file of await readdir(from)) await cp(path.join(from, file), path.join(files, file));
      env = { ...env, DATABASE_URL: await createDatabase(database) };
      temporal = await startOn(files, port);
    },
    /** `npm run reconcile`. */
    async reconcile(...args: string[]): Promise<{ code: number; lines: string[]; stderr: string }> {
      const { code, stdout, stderr } = await tryCommand('reconcile', env, ...args);
      return { code, lines: stdout.trimEnd().split('\n'), stderr };
    },
    /** `npm run reconcile -- --mend`, killed as soon as it has changed something. */
    async killReconcile(): Promise<void> {
      const db = createDb(env.DATABASE_URL!, 1);
      const outbox = sql`(select count(*) from outbox)`;
      const changes = sql<{ at: number }>`select ${outbox} + sum(version_base) as at from runs`;
      const before = (await changes.execute(db)).rows[0]!.at;
      const child = startCommand('reconcile', env, '--mend');
      const ended = once(child, 'close');
      await until(async () => (await changes.execute(db)).rows[0]!.at !== before, 'something is mended');
      child.kill('SIGKILL');
      await Promise.all([ended, db.destroy()]);
    },
    /** As an operator does, in Temporal. */
    async terminate(run_id: string): Promise<void> {
      const connection = await Connection.connect({ address: env.TEMPORAL_ADDRESS });
      await new Client({ connection }).workflow.getHandle(run_id).terminate('By hand.');
      await connection.close();
    },
    async end(): Promise<void> {
      await self.stop();
      await temporal?.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return self;
}
