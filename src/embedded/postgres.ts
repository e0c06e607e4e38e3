import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
} from 'node:fs';
import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { choosePort } from './ports.ts';
import { choosePostgresUser, commandAs, findPostgresBinaries } from './postgres-binaries.ts';
import type { PostgresBinaries, PostgresUser } from './postgres-binaries.ts';
import { endProcess, endedAtOnce, processIdentity, readPidFile, startProcess, withProgress } from './processes.ts';
import type { Report, RunningProcess } from './processes.ts';

export interface StartPostgresOptions {
  /** A directory for PostgreSQL alone: the cluster, its password and port, its log. Made when missing. */
  dataDir: string;
  /** Default: the port of the last time if it is free, else any free one. */
  port?: number;
  report: Report;
  /** Server settings, such as `{ fsync: 'off' }` for tests. */
  settings?: Record<string, string>;
  /** Default: `<dataDir>/postgres.log`. */
  logFile?: string;
  pidFile?: string;
}

export interface Postgres extends RunningProcess {
  /** postgres://, with the password; a superuser's, so tests may make databases. */
  url: string;
  port: number;
}

const user = 'orchflow';
const attempts = 5;
const readyDeadlineMs = 60_000;
const recoveryDeadlineMs = 600_000;

/**
 * Starts PostgreSQL on 127.0.0.1, making the cluster on first use. A server that an earlier launcher left running on
 * this directory is stopped first, so the caller must own the directory. Works as root too.
 * @throws when it cannot run here, or does not answer; nothing runs then
 */
export async function startPostgres(options: StartPostgresOptions): Promise<Postgres> {
  const { report, settings = {}, pidFile } = options;
  const dataDir = resolve(options.dataDir);
  const cluster = join(dataDir, 'data');
  const logFile = options.logFile ?? join(dataDir, 'postgres.log');
  mkdirSync(dataDir, { recursive: true });

  const binaries = await findPostgresBinaries();
  await endLeftoverServer(cluster, pidFile, report);
  const runAs = choosePostgresUser(binaries, dataDir, statSync(cluster, { throwIfNoEntry: false }));
  if (existsSync(cluster)) own(cluster, runAs);
  const password = keepPassword(dataDir, cluster, runAs);
  if (!existsSync(cluster)) await makeCluster(binaries, runAs, dataDir, settings.fsync === 'off', report);

  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await choosePort(rememberedPort(dataDir)));
    const given = { listen_addresses: '127.0.0.1', unix_socket_directories: '', log_checkpoints: 'off', ...settings };
    const flags = Object.entries(given).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const server = await startProcess({
      ...commandAs(runAs, binaries.postgres, ['-D', cluster, '-p', String(port), ...flags]),
      logFile,
      pidFile,
      stopSignal: 'SIGINT', // a fast shutdown: ends the sessions, loses nothing
      stopDeadlineMs: 60_000,
    });
    try {
      await withProgress(report, 'waiting for PostgreSQL', () => untilReady(server, port, password));
      writeFileSync(join(dataDir, 'port'), String(port));
      return { ...server, port, url: `postgres://${user}:${password}@127.0.0.1:${port}/${user}` };
    } catch (error) {
      await server.stop();
      // Somebody took the port in between, or sessions of a killed server are still on their way out.
      const taken = server.lastWords().includes('Address already in use') && options.port === undefined;
      const passing = taken || server.lastWords().includes('shared memory block');
      if (!passing || attempt === attempts) throw error;
      await sleep(500);
    }
  }
}

/** Stops the server that holds this cluster, and removes a lock file whose pid is another program's by now. */
async function endLeftoverServer(cluster: string, pidFile: string | undefined, report: Report) {
  const lockFile = join(cluster, 'postmaster.pid');
  if (!existsSync(lockFile)) return;
  const pid = Number(readFileSync(lockFile, 'utf8').split('\n')[0]);
  const identity = pid > 1 ? processIdentity(pid) : undefined;
  const recorded = pidFile ? readPidFile(pidFile)?.identity === identity : false;
  if (identity && !recorded && !servesCluster(pid, cluster)) return rmSync(lockFile);
  if (identity) {
    report(`PostgreSQL was left running by an earlier start (pid ${pid}): stopping it`);
    await endProcess({ pid, identity }, 'SIGINT', 60_000);
  }
  await untilReaped(pid, cluster, lockFile);
}

/**
 * PostgreSQL itself removes the lock of a dead server, but takes one that was killed and not yet reaped for alive. Where
 * nobody reaps, as in a container without an init, the lock is removed here when none of its sessions is left either.
 */
async function untilReaped(pid: number, cluster: string, lockFile: string) {
  const isZombie = () => existsSync(`/proc/${pid}`) && existsSync(lockFile);
  for (const end = Date.now() + 5_000; isZombie() && Date.now() < end;) await sleep(50);
  if (isZombie() && !readdirSync('/proc').some((name) => worksIn(name, cluster))) rmSync(lockFile, { force: true });
}

function worksIn(pid: string, directory: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === directory;
  } catch {
    return false;
  }
}

function servesCluster(pid: number, cluster: string): boolean {
  try {
    const command = existsSync(`/proc/${pid}/cmdline`)
      ? readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
      : execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
    return command.includes('postgres') && command.includes(` ${cluster} `);
  } catch {
    return false;
  }
}

function keepPassword(dataDir: string, cluster: string, { uid, gid }: PostgresUser): string {
  const file = join(dataDir, 'password');
  if (!existsSync(cluster)) {
    writeFileSync(file, randomBytes(24).toString('hex'), { mode: 0o600 });
    if (uid !== undefined && gid !== undefined) chownSync(file, uid, gid); // initdb reads it
  }
  if (!existsSync(file)) throw new Error(`${file} is missing: without it nobody can open the database beside it.`);
  return readFileSync(file, 'utf8').trim();
}

/** Made under another name first: a cluster that was interrupted in the making is never taken for a whole one. */
async function makeCluster(
  { initdb }: PostgresBinaries,
  runAs: PostgresUser,
  dataDir: string,
  unsafe: boolean,
  report: Report,
) {
  for (const name of readdirSync(dataDir)) {
    if (name.startsWith('new-')) rmSync(join(dataDir, name), { recursive: true, force: true });
  }
  const draft = mkdtempSync(join(dataDir, 'new-'));
  own(draft, runAs);
  const flags = ['-D', draft, '-U', user, '-E', 'UTF8', '--locale=C', '--locale-provider=builtin'];
  flags.push('--builtin-locale=C.UTF-8', '--auth=scram-sha-256', `--pwfile=${join(dataDir, 'password')}`);
  if (unsafe) flags.push('--no-sync');
  const { command, args, ...rest } = commandAs(runAs, initdb, flags);
  try {
    await withProgress(report, 'making the database', () => promisify(execFile)(command, args, rest));
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    throw new Error(`PostgreSQL's initdb failed: ${(error as Error).message}`, { cause: error });
  }
  renameSync(draft, join(dataDir, 'data'));
}

/** PostgreSQL wants its directory to be its own, and closed to others. */
function own(directory: string, { uid, gid }: PostgresUser) {
  if (uid !== undefined && statSync(directory).uid !== uid) execFileSync('chown', ['-R', `${uid}:${gid}`, directory]);
  const { uid: owner } = statSync(directory);
  if (uid === undefined && owner !== process.getuid?.()) {
    throw new Error(`${directory} belongs to user ${owner}. Start Orchflow as that user or as root, or give it over.`);
  }
  chmodSync(directory, 0o700);
}

function rememberedPort(dataDir: string): number | undefined {
  try {
    return Number(readFileSync(join(dataDir, 'port'), 'utf8')) || undefined;
  } catch {
    return undefined;
  }
}

/** Until the server answers and our database is there. After a crash it replays its log first, however long it takes. */
async function untilReady(server: RunningProcess, port: number, password: string) {
  const start = Date.now();
  for (;;) {
    // A stranger on this port may take the connection and never answer, while our server has long given up.
    const fault = await Promise.race([openDatabase(port, password), endedAtOnce('PostgreSQL', server)]);
    if (!fault) return;
    const recovering = fault.code === '57P03';
    const hopeless = fault.code !== undefined && !recovering && !fault.code.startsWith('E');
    if (hopeless || Date.now() - start > (recovering ? recoveryDeadlineMs : readyDeadlineMs)) {
      throw new Error(`PostgreSQL does not answer: ${fault.message}\n${server.lastWords()}`, { cause: fault });
    }
    await sleep(25);
  }
}

async function openDatabase(port: number, password: string): Promise<(Error & { code?: string }) | undefined> {
  const connectionTimeoutMillis = 5000;
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user,
    password,
    database: 'postgres',
    connectionTimeoutMillis,
  });
  client.on('error', () => {}); // the query that meets it tells
  try {
    await client.connect();
    const { rowCount } = await client.query('select from pg_database where datname = $1', [user]);
    if (!rowCount) await client.query(`create database ${user}`);
    return undefined;
  } catch (error) {
    return error as Error;
  } finally {
    void client.end().catch(() => {});
  }
}
