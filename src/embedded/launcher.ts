import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig, loadLauncherConfig } from '../config.ts';
import { describeModel, describeReach, makeEnvironment, withOwnTemporal } from './environment.ts';
import { followWarnings } from './follow-log.ts';
import { takeLock } from './lock.ts';
import { portFault } from './ports.ts';
import { startPostgres } from './postgres.ts';
import { endedAtOnce, endLeftover, killRecorded, startProcess } from './processes.ts';
import type { RunningProcess } from './processes.ts';
import { supervise } from './supervise.ts';
import { findTemporal, startTemporal } from './temporal.ts';
import { held } from '../node/held.ts';
import { startOptions } from '../node/start.ts';

type Name = 'api' | 'worker' | 'temporal' | 'postgres';
type Environment = Record<string, string | undefined>;

const scripts = { migrate: 'src/migrate.ts', worker: 'src/worker.ts', api: 'src/api.ts' };
const stopOrder: Name[] = ['api', 'worker', 'temporal', 'postgres'];
const readyDeadlineMs = 60_000;
const migrateDeadlineMs = 600_000;
/** npm passes a Ctrl-C on to us although the terminal has sent it already. */
const echoMs = 700;

const startedAt = performance.timeOrigin;
const launcher = loadLauncherConfig();
const { HOST, PORT } = launcher;
const dataDir = resolve(launcher.ORCHFLOW_DATA_DIR);
const everywhere = HOST === '0.0.0.0' || HOST === '::';
const host = everywhere ? '127.0.0.1' : HOST.includes(':') ? `[${HOST}]` : HOST;
const url = `http://${host === '127.0.0.1' ? 'localhost' : host}:${PORT}`;
const started: Partial<Record<Name, { stop(): Promise<void> }>> = {};
const stopping = new AbortController();

function report(line: string) {
  console.log(`  ${line}`);
}
const pidFile = (name: Name | 'migrate' | 'launcher') => join(dataDir, 'pids', `${name}.json`);
const logFile = (name: Name | 'migrate') => join(dataDir, 'logs', `${name}.log`);

/** `npm start`: all of it in this process and its children, until it is told to stop. */
export async function launch(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {}); // the terminal is gone
  await main().catch((error: Error) => {
    console.error(error.message);
    process.exit(1);
  });
}

async function main() {
  mkdirSync(dataDir, { recursive: true });
  const lock = takeLock(pidFile('launcher'), url);
  let failure: unknown;
  try {
    await run();
  } catch (error) {
    if (!stopping.signal.aborted) failure = error;
  }
  try {
    if (failure) console.error(`\n${(failure as Error).message}\n`);
    await stopAll();
  } finally {
    lock.release();
  }
  process.exit(failure ? 1 : 0);
}

/** Starts everything, and resolves when it shall be stopped. */
async function run() {
  await endLeftovers();
  await checkPort();
  const base = await makeEnvironment(launcher, dataDir);
  // Faults of the settings come to light before the slow steps; the address of the database follows.
  const config = loadConfig({ DATABASE_URL: 'postgres://not-yet-known', ...base });
  console.log('Starting Orchflow');
  if (launcher.TEMPORAL_ADDRESS) report(`with the Temporal of TEMPORAL_ADDRESS, ${launcher.TEMPORAL_ADDRESS}`);

  const { environment, worker, api } = await startAll(base);
  await untilHealthy(worker, api);
  watch('worker', worker, () => startScript('worker', environment));
  watch('api', api, () => startScript('api', environment));
  followWarnings('worker', logFile('worker'), worker.logStart, report);
  followWarnings('api', logFile('api'), api.logStart, report);
  printSummary(config, environment.TEMPORAL_UI_URL);

  await new Promise<void>((stop) => stopping.signal.addEventListener('abort', () => stop()));
}

/** What an earlier launcher, killed with SIGKILL, left running. Its data is safe: each of them survives a kill too. */
async function endLeftovers() {
  for (const name of stopOrder) {
    const file = pidFile(name);
    const pid = await (name === 'postgres' ? endLeftover(file, 'SIGINT', 60_000) : endLeftover(file));
    if (pid) report(`stopped ${name} (pid ${pid}), which an earlier start had left running`);
  }
  await endLeftover(pidFile('migrate'));
}

async function checkPort() {
  const fault = await portFault(PORT, HOST);
  if (fault === 'EADDRINUSE') {
    const other = PORT === 8000 ? 8080 : 8000;
    throw new Error(`Port ${PORT} is in use by another program. Free it, or choose another: PORT=${other} npm start`);
  }
  if (fault) throw new Error(`Cannot listen on ${HOST}:${PORT} (${fault}). Choose another: PORT=8080 npm start`);
}

/**
 * PostgreSQL with the newest tables, Temporal, worker and API. Those two take as long to load as our own Temporal to begin, and load
 * beside it, once it is known where it will answer; they talk to nobody before it does.
 */
async function startAll(base: Environment) {
  const giveUp = new AbortController();
  const signal = AbortSignal.any([stopping.signal, giveUp.signal]);
  const chosen = Promise.withResolvers<Address>();
  const database = prepareDatabase(base);
  const temporal = launcher.TEMPORAL_ADDRESS ? undefined : startOwnTemporal(signal, chosen.resolve);
  try {
    const [DATABASE_URL, expected] = await Promise.all([
      database,
      temporal && Promise.race([chosen.promise, temporal]),
    ]);
    const given = { ...base, DATABASE_URL };
    const early = await startOurs(given, expected);
    const own = await temporal;
    const isWhereExpected = own?.address === expected?.address && own?.ui_url === expected?.ui_url;
    const ours = isWhereExpected ? early : await startOursAgain(given, own);
    ours.worker.release();
    ours.api.release();
    return ours;
  } catch (error) {
    giveUp.abort();
    await Promise.allSettled([database, temporal]); // what is still starting must be known before it can be stopped
    throw error;
  }
}

/** Of a Temporal of ours. */
type Address = { address: string; ui_url?: string };

async function startOurs(given: Environment, own: Address | undefined) {
  const environment = own ? withOwnTemporal(given, own.address, own.ui_url) : given;
  const worker = await startOwn('worker', environment);
  const api = await startOwn('api', environment);
  return { environment, worker, api };
}

/** Somebody else had taken a port that Temporal was to have. */
async function startOursAgain(given: Environment, own: Address | undefined) {
  await Promise.all([started.worker?.stop(), started.api?.stop()]);
  return startOurs(given, own);
}

/** Waits for no Temporal of ours, which is ready for runs once it has started. */
async function prepareDatabase(base: Environment): Promise<string> {
  const url = launcher.DATABASE_URL ?? (await startOwnPostgres());
  stopping.signal.throwIfAborted();
  await migrate({ ...base, DATABASE_URL: url });
  return url;
}

async function startOwnPostgres(): Promise<string> {
  const options = {
    dataDir: join(dataDir, 'postgres'),
    report,
    logFile: logFile('postgres'),
    pidFile: pidFile('postgres'),
  };
  const postgres = await startPostgres(options);
  watch('postgres', postgres, () => startPostgres({ ...options, port: postgres.port }));
  return postgres.url;
}

async function startOwnTemporal(signal: AbortSignal, onAddress: (own: Address) => void) {
  const options = {
    binary: await findTemporal({ report, signal }),
    dbFile: join(dataDir, 'temporal', 'temporal.db'),
    preferred: { port: 7233, uiPort: 8233 },
    synchronous: launcher.ORCHFLOW_SQLITE_SYNCHRONOUS,
    report,
    logFile: logFile('temporal'),
    pidFile: pidFile('temporal'),
  };
  const temporal = await startTemporal({ ...options, onAddress });
  const { port, uiPort } = temporal;
  watch('temporal', temporal, () => startTemporal({ ...options, port, uiPort }));
  return temporal;
}

/** From now on it is started again when it ends. */
function watch(name: Name, running: RunningProcess, start: () => Promise<RunningProcess>) {
  started[name] = supervise({ name, running, start, logFile: logFile(name), report });
}

async function migrate(env: Environment) {
  const child = await startScript('migrate', env);
  const ended = await Promise.race([child.exited, aborted(migrateDeadlineMs)]);
  if (ended === 'exit code 0') return;
  await child.stop();
  stopping.signal.throwIfAborted();
  throw new Error(`The migration failed (${ended ?? 'it took too long'}):\n${child.lastWords()}`);
}

async function startOwn(name: 'api' | 'worker', env: Environment): Promise<RunningProcess> {
  stopping.signal.throwIfAborted();
  const running = await startScript(name, env, { isHeld: true });
  started[name] = running;
  return running;
}

function startScript(name: keyof typeof scripts, env: Environment, { isHeld = false } = {}): Promise<RunningProcess> {
  const started = startOptions(name, loadConfig(env));
  return startProcess({
    command: process.execPath,
    args: [...started.flags, join(import.meta.dirname, '../..', scripts[name]), ...(isHeld ? [held] : [])],
    isHeld,
    env: { ...started.env, ...env },
    background: name === 'worker',
    logFile: logFile(name),
    pidFile: pidFile(name),
    stopDeadlineMs: 20_000,
  });
}

/** Until the API answers. A worker or API that ends before that is not started again: it would end again. */
async function untilHealthy(worker: RunningProcess, api: RunningProcess) {
  const ended = Promise.race([endedAtOnce('worker', worker), endedAtOnce('api', api)]);
  let last = 'no answer';
  for (const deadline = Date.now() + readyDeadlineMs; Date.now() < deadline;) {
    await Promise.race([sleep(50), ended]);
    stopping.signal.throwIfAborted();
    try {
      const response = await fetch(`http://${host}:${PORT}/health`, { signal: AbortSignal.timeout(5000) });
      if (response.ok) return;
      last = `${response.status} ${await response.text()}`;
    } catch {
      continue;
    }
  }
  throw new Error(`The API did not become healthy (${last}). Its log: ${logFile('api')}`);
}

function printSummary(config: ReturnType<typeof loadConfig>, temporalUi: string | undefined) {
  const email = `ada-${randomBytes(3).toString('hex')}@example.com`; // new each time, so that the line always works
  const json = `-H 'Content-Type: application/json'`;
  const key = `sed 's/.*"api_key": *"\\([^"]*\\)".*/\\1/'`;
  console.log(`
Orchflow is ready (${((Date.now() - startedAt) / 1000).toFixed(1)} s). Ctrl-C stops it; npm start goes on where it was.

  API          ${url}
  Docs         ${url}/docs
  Temporal UI  ${temporalUi ?? 'the one of your Temporal'}
  Model        ${describeModel(config)}
  Webhooks     to public addresses, ${describeReach(config)}
  Data         ${dataDir}

Try it:

  KEY=$(curl -s ${url}/api/v1/auth/register ${json} -d '{"name": "Ada", "email": "${email}"}' | ${key})
  curl -s ${url}/api/v1/runs -H "X-API-Key: $KEY" ${json} -d '{"task": "Plan the launch of a newsletter about AI tools"}'
`);
}

async function stopAll() {
  const names = stopOrder.filter((name) => started[name]);
  if (names.length) console.log(`Stopping ${names.join(', ')}. Press Ctrl-C again to kill them.`);
  for (const name of names) {
    await started[name]?.stop().catch((error: Error) => console.error(`${name}: ${error.message}`));
  }
  if (names.length) console.log('Stopped. Everything is kept.');
}

/** Resolves with undefined when Orchflow shall stop, or after the time. */
function aborted(milliseconds: number): Promise<undefined> {
  return sleep(milliseconds, undefined, { signal: stopping.signal, ref: false }).catch(() => undefined);
}

let firstSignalAt = 0;
function onSignal() {
  firstSignalAt ||= Date.now();
  if (!stopping.signal.aborted) {
    console.log('');
    stopping.abort();
  } else if (Date.now() - firstSignalAt > echoMs) {
    console.log('Killed. The data is safe; the next start mends what was open.');
    for (const name of stopOrder) killRecorded(pidFile(name), name === 'postgres' ? 'SIGQUIT' : 'SIGKILL');
    killRecorded(pidFile('migrate'));
    process.exit(130);
  }
}
