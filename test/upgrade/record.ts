import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { constants, gzipSync } from 'node:zlib';
import { choosePort } from '../../src/embedded/ports.ts';
import { readPidFile } from '../../src/embedded/processes.ts';
import { createUser, register, until, type User } from '../harness/client.ts';
import { define } from '../harness/orchestration.ts';

/**
 * Keeps what a release leaves behind, for `upgrade.test.ts`: its database and its Temporal, with runs at rest in them.
 *
 *     DATABASE_URL=postgres://… node test/upgrade/record.ts ../a-checkout-of-the-release
 *
 * On a machine without an Ollama, whose models would answer. The database is an empty one, of a PostgreSQL that `pg_dump` is
 * not older than: the README.md beside what was recorded says how.
 */

const goal = 'Research three rivals, compare their prices, write a report.';
const encryption_key = Buffer.from('The key of an upgrade test only.').toString('base64');

const [checkout] = process.argv.slice(2).map((folder) => path.resolve(folder));
const { DATABASE_URL } = process.env;
if (!checkout || !DATABASE_URL) throw new Error('See the comment at the head of this file.');
const { version } = JSON.parse(await readFile(path.join(checkout, 'package.json'), 'utf8'));
const data = await mkdtemp(path.join(tmpdir(), 'orchflow-record-'));
const folder = path.join(import.meta.dirname, version);
const environment = {
  PATH: process.env.PATH,
  HOME: process.env.HOME,
  DATABASE_URL,
  ORCHFLOW_DATA_DIR: data,
  ENCRYPTION_KEY: encryption_key,
  ORCHFLOW_EMBEDDED: 'true',
  ALLOW_MANAGED_RUNS_WITHOUT_PROVIDER: 'true',
  HOST: '127.0.0.1',
};

type Process = { child: ChildProcess; url: string; exited: Promise<number | null> };

/** A process of the release, as soon as it has said that it is ready. */
async function start(script: string, ready: string, more: Record<string, string> = {}): Promise<Process> {
  const port = await choosePort();
  const env = { ...environment, PORT: String(port), ...more };
  const child = spawn(process.execPath, [path.join(checkout!, script)], { env, cwd: data });
  process.once('exit', () => child.kill('SIGTERM'));
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (log += chunk));
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  await until(
    () => child.exitCode !== null || log.includes(ready),
    () => log,
  );
  if (child.exitCode !== null) throw new Error(log);
  return { child, url: `http://127.0.0.1:${port}`, exited };
}

async function stop({ child, exited }: Process): Promise<void> {
  child.kill('SIGINT');
  const code = await exited;
  if (code !== 0) throw new Error(`It ended with ${code}.`);
}

/** Starts a run of every kind and returns their ids when all are at rest. */
async function makeRuns(user: User): Promise<Record<string, string>> {
  const [context, unheard, unsent] = await Promise.all(
    Array.from({ length: 3 }, async () => {
      const run = await user.startRun({ task: goal, ask_me_about: ['budget'], human_gates: ['legal approval'] });
      await run.untilWaiting('T1');
      return run;
    }),
  );
  const approvals = await user.startRun({ task: goal, require_approval: true });
  await approvals.untilWaiting('T1');
  await approvals.complete('T1', { decision: 'edit', output: 'Rivals: Ada, Bob, Cyd.' });
  await approvals.untilWaiting('T2');
  const budget = await user.startRun({ task: goal, max_tokens: 10_000 });
  await budget.untilWaiting('_budget_1');
  const completed = await user.startRun({ task: goal });
  await completed.until('completed');

  const paused = await user.post('/orchestrations/orch-research-report/run', { message: 'Note-taking apps' });
  const steps = ['first', 'second', 'third'].map((id) => ({ id, type: 'llm', output_key: id, prompt_template: id }));
  const limited = await define(user, steps, { max_total_turns: 2 });
  const failed = await user.post(`/orchestrations/${limited}/run`, { message: 'Note-taking apps' });
  if (paused.body.status !== 'paused' || failed.body.status !== 'failed') throw new Error(JSON.stringify(failed.body));
  const runs = { context: context!, unheard: unheard!, unsent: unsent!, approvals, budget, completed };
  const goals = Object.fromEntries(Object.entries(runs).map(([name, { run_id }]) => [name, run_id]));
  return { ...goals, orchestration: paused.body.run_id, failed: failed.body.run_id };
}

async function answer(user: User, run_id: string, output: string): Promise<void> {
  const { status, body } = await user.openRun(run_id).complete('T1', { output });
  if (status !== 200) throw new Error(JSON.stringify(body));
}

/** Nothing is left in a log beside it. Not vacuumed: the full text index of the server's lists knows rows by their numbers. */
function checkpoint(file: string): void {
  const database = new DatabaseSync(file, { enableDoubleQuotedStringLiterals: true });
  database.exec('pragma wal_checkpoint(truncate); pragma journal_mode = delete');
  database.close();
}

/** As one text of SQL: without the commands to `psql`, which newer versions of `pg_dump` write. */
async function dumpPostgres(): Promise<string> {
  const options = ['--no-owner', '--no-privileges', '--inserts', '--dbname', DATABASE_URL!];
  const { stdout } = await promisify(execFile)('pg_dump', options, { maxBuffer: 100_000_000 });
  return stdout.replaceAll(/^\\(un)?restrict .*\n/gm, '');
}

async function save(name: string, content: string | Buffer): Promise<void> {
  await writeFile(path.join(folder, name), gzipSync(content, { level: constants.Z_BEST_COMPRESSION }));
}

const product = await start('src/dev.ts', 'Orchflow is ready');
const user = await register(product.url);
const runs = await makeRuns(user);
// An answer that Temporal has and that no worker has heard of: the worker is frozen, and killed at the stop.
const worker = readPidFile(path.join(data, 'pids', 'worker.json'))!;
process.kill(worker.pid, 'SIGSTOP');
await answer(user, runs.unheard!, 'Ten thousand, unheard.');
await stop(product);

// An answer and a start that only the outbox has: there is no Temporal.
const api = await start('src/api.ts', '"listening"', { TEMPORAL_ADDRESS: '127.0.0.1:1' });
const later = createUser(api.url, user.api_key, user.webhook_secret, user.email);
await answer(later, runs.unsent!, 'Ten thousand, unsent.');
runs.unstarted = (await later.startRun({ task: goal })).run_id;
await stop(api);

await mkdir(folder, { recursive: true });
const sqlite = path.join(data, 'temporal', 'temporal.db');
checkpoint(sqlite);
await save('temporal.db.gz', await readFile(sqlite));
await save('postgres.sql.gz', await dumpPostgres());
const facts = { encryption_key, api_key: user.api_key, email: user.email, runs };
await writeFile(path.join(folder, 'facts.json'), `${JSON.stringify(facts, null, 2)}\n`);
await rm(data, { recursive: true });
