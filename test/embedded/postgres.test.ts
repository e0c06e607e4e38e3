import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import pg from 'pg';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { patience } from '../harness/patience.ts';
import type { StartPostgresOptions } from '../../src/embedded/postgres.ts';

vi.setConfig({ testTimeout: 120_000 });

const settings = { fsync: 'off' };

/** mkdtemp makes it 0700: as root, PostgreSQL's own user cannot even look into it. */
function makeDataDir() {
  const dataDir = mkdtempSync(join(tmpdir(), 'orchflow-postgres-'));
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
  return dataDir;
}

async function start(options: Omit<StartPostgresOptions, 'report'>) {
  const lines: string[] = [];
  const postgres = await startPostgres({ settings, report: (line) => lines.push(line), ...options });
  onTestFinished(() => postgres.stop());
  return { ...postgres, lines };
}

async function query(url: string, sql: string) {
  const client = new pg.Client(url);
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function writeNote(url: string) {
  await query(url, `create table notes (text text); insert into notes values ('kept')`);
}

const readNotes = (url: string) => query(url, 'select text from notes');

test('keeps its data, its password and its port over a restart', async () => {
  const dataDir = makeDataDir();
  const first = await start({ dataDir });
  await writeNote(first.url);
  await first.stop();
  expect(await first.exited).toBe('exit code 0');
  await expect(query(first.url, 'select 1')).rejects.toThrow('ECONNREFUSED');

  const second = await start({ dataDir });
  expect(second.url).toBe(first.url);
  expect(await readNotes(second.url)).toEqual([{ text: 'kept' }]);
  expect(statSync(join(dataDir, 'password')).mode & 0o777).toBe(0o600);
});

test('is what Orchflow needs: UTF8, durable commits, loopback only, a password', async () => {
  const { url } = await start({ dataDir: makeDataDir() });
  const [row] = await query(
    url,
    `select current_setting('server_version_num')::int / 10000 as major, current_setting('server_encoding') as encoding,
       current_setting('synchronous_commit') as commit, current_setting('listen_addresses') as listen, lower('ÄÉ') as lower`,
  );
  expect(row).toEqual({ major: 18, encoding: 'UTF8', commit: 'on', listen: '127.0.0.1', lower: 'äé' });
  await expect(query(url.replace(/:[^:@]+@/, ':wrong@'), 'select 1')).rejects.toThrow('password authentication');
});

test('starts again after it was killed, with all that was committed', async () => {
  const dataDir = makeDataDir();
  const first = await start({ dataDir });
  await writeNote(first.url);
  process.kill(first.pid, 'SIGKILL');
  expect(await first.exited).toBe('signal SIGKILL');
  const second = await start({ dataDir });
  expect(await readNotes(second.url)).toEqual([{ text: 'kept' }]);
});

test.runIf(process.platform === 'linux')('starts again although nobody reaps the server that was killed', async () => {
  const dataDir = makeDataDir();
  const module = JSON.stringify(resolve(import.meta.dirname, '../../src/embedded/postgres.ts'));
  const options = JSON.stringify({ dataDir, settings });
  const script = `const { startPostgres } = await import(${module});
    console.log((await startPostgres({ ...${options}, report() {} })).pid);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void parent.kill('SIGKILL'));
  const pid = Number(await once(parent.stdout, 'data'));
  parent.kill('SIGSTOP');
  await vi.waitFor(() => expect(readFileSync(`/proc/${parent.pid}/stat`, 'utf8')).toContain(') T '), patience);
  process.kill(pid, 'SIGKILL');

  const { url } = await start({ dataDir });
  expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('a server that was left running is stopped first', async () => {
  const dataDir = makeDataDir();
  const first = await start({ dataDir });
  await writeNote(first.url);
  const second = await start({ dataDir });
  expect(second.lines).toEqual([expect.stringContaining(`left running by an earlier start (pid ${first.pid})`)]);
  expect(await first.exited).toBe('exit code 0');
  expect(await readNotes(second.url)).toEqual([{ text: 'kept' }]);
});

test('a lock file whose pid is another program by now does not stop it, nor that program', async () => {
  const dataDir = makeDataDir();
  const first = await start({ dataDir });
  const lockFile = join(dataDir, 'data', 'postmaster.pid');
  const lock = readFileSync(lockFile, 'utf8');
  await first.stop();

  const other = spawn('sleep', ['60']);
  onTestFinished(() => void other.kill());
  writeFileSync(lockFile, lock.replace(/^\d+/, String(other.pid)));
  await start({ dataDir });
  expect(other.exitCode ?? other.signalCode).toBeNull();
});

test('takes another port when its own is taken, and says so when it may not', async () => {
  const dataDir = makeDataDir();
  const first = await start({ dataDir });
  await first.stop();
  const squatter = createServer().listen(first.port, '127.0.0.1');
  await once(squatter, 'listening');
  onTestFinished(() => void squatter.close());

  await expect(start({ dataDir, port: first.port })).rejects.toThrow('Address already in use');
  const second = await start({ dataDir });
  expect(second.port).not.toBe(first.port);
});

test.runIf(process.platform === 'linux' && process.getuid?.() === 0)('as root it runs as another user', async () => {
  const { pid } = await start({ dataDir: makeDataDir() });
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const uids = /^Uid:\t(\d+)\t(\d+)/m.exec(status);
  expect(Number(uids?.[1])).toBeGreaterThan(0);
  expect(uids?.[2]).toBe(uids?.[1]);
  // At most cap_dac_override, which lets it look into directories of others.
  expect(/^CapEff:\t0{15}[02]$/m.test(status)).toBe(true);
});
