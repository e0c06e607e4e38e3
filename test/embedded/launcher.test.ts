import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { choosePort } from '../../src/embedded/ports.ts';
import { findTemporal } from '../../src/embedded/temporal-binary.ts';
import { endLeftover, isAlive, readPidFile } from '../../src/embedded/processes.ts';
import { until } from '../harness/client.ts';

const root = resolve(import.meta.dirname, '../..');
const names = ['postgres', 'temporal', 'worker', 'api'] as const;
const startDeadlineMs = 120_000;

/** A directory of its own, whose processes end with the test, however it ends. */
function makeDataDir() {
  const dataDir = mkdtempSync(join(tmpdir(), 'orchflow-launcher-'));
  onTestFinished(async () => {
    for (const name of ['launcher', 'api', 'worker', 'temporal', 'postgres']) {
      await endLeftover(join(dataDir, 'pids', `${name}.json`), 'SIGKILL');
    }
    rmSync(dataDir, { recursive: true, force: true });
  });
  return dataDir;
}

/** `npm start`, without npm. `says` resolves with all output once it holds the text, or once the launcher has ended. */
function launch(dataDir: string, port: number, settings: Record<string, string> = {}) {
  const child = spawn(process.execPath, [join(root, 'src/dev.ts')], {
    cwd: root,
    env: { ...withoutSettings(), ORCHFLOW_DATA_DIR: dataDir, PORT: String(port), ...settings },
  });
  let output = '';
  const collect = (chunk: Buffer) => void (output += chunk.toString());
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const exited = once(child, 'close').then(([code, signal]) => ({ code: code as number, signal: signal as string }));
  return {
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    exited,
    says: async (text: string) => {
      let ended = false;
      const end = exited.then(() => (ended = true));
      while (!output.includes(text) && !ended) await Promise.race([sleep(20), end]);
      return output;
    },
    finished: () => exited.then(({ code }) => ({ code, output })),
  };
}

/** The embedded default, whatever this machine has set for other servers. */
function withoutSettings() {
  const { PATH, HOME, XDG_CACHE_HOME, ORCHFLOW_TEMPORAL_CLI } = process.env;
  return { PATH, HOME, XDG_CACHE_HOME, ORCHFLOW_TEMPORAL_CLI, LOG_LEVEL: 'warn', GEMINI_API_KEY: 'not-used' };
}

function records(dataDir: string) {
  return names
    .map((name) => readPidFile(join(dataDir, 'pids', `${name}.json`)))
    .filter((record) => record !== undefined);
}

async function register(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/auth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'Ada', email: 'ada@example.com' }),
  });
  return ((await response.json()) as { api_key: string }).api_key;
}

async function define(port: number, api_key: string): Promise<string> {
  const definition = {
    name: 'Hello',
    entry_step_id: 'print',
    steps: [{ id: 'print', name: 'Print', type: 'print', print_content: 'Hello' }],
  };
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/orchestrations`, {
    method: 'POST',
    headers: { 'X-API-Key': api_key, 'content-type': 'application/json' },
    body: JSON.stringify(definition),
  });
  return ((await response.json()) as { id: string }).id;
}

const listRuns = (port: number, key: string) =>
  fetch(`http://127.0.0.1:${port}/api/v1/runs`, { headers: { 'X-API-Key': key } });

test(
  'starts once, is killed, mends what it left, and stops all on one signal',
  { timeout: 3 * startDeadlineMs },
  async () => {
    const dataDir = makeDataDir();
    const port = await choosePort();
    const first = launch(dataDir, port);
    const summary = await first.says('Try it');
    for (const part of [`http://localhost:${port}/docs`, 'Temporal UI', 'gemini', dataDir, 'curl']) {
      expect(summary).toContain(part);
    }
    expect(statSync(join(dataDir, 'encryption-key')).mode & 0o777).toBe(0o600);
    const key = await register(port);
    const left = records(dataDir);
    expect(left).toHaveLength(4);

    const second = await launch(dataDir, port).finished();
    expect(second.code).toBe(1);
    expect(second.output).toMatch(/^Orchflow is already running here \(pid \d+, http:\/\/localhost:\d+\)\n$/);
    expect(left.every(isAlive)).toBe(true);

    first.kill('SIGKILL');
    await first.exited;
    expect(left.every(isAlive)).toBe(true);
    const third = launch(dataDir, port);
    const again = await third.says('Try it');
    expect(again).toContain('Try it');
    for (const name of names)
      expect(again).toMatch(new RegExp(`stopped ${name} \\(pid \\d+\\), which an earlier start`));
    expect(left.some(isAlive)).toBe(false);
    expect((await listRuns(port, key)).status).toBe(200);

    const running = records(dataDir);
    third.kill('SIGINT');
    const { code, output } = await third.finished();
    expect(code).toBe(0);
    expect(output).toContain('Stopping api, worker, temporal, postgres.');
    expect(running.some(isAlive)).toBe(false);
    expect(readdirSync(join(dataDir, 'pids'))).toEqual([]);
    expect(readFileSync(join(dataDir, 'logs', 'postgres.log'), 'utf8')).toContain('database system is shut down');
  },
);

test('a taken port is said before anything is started', async () => {
  const dataDir = makeDataDir();
  const squatter = createServer().listen(0, '127.0.0.1');
  await once(squatter, 'listening');
  onTestFinished(() => void squatter.close());
  const { port } = squatter.address() as AddressInfo;
  const { code, output } = await launch(dataDir, port).finished();
  expect(code).toBe(1);
  expect(output).toContain(
    `Port ${port} is in use by another program. Free it, or choose another: PORT=8000 npm start`,
  );
  expect(records(dataDir)).toEqual([]);
});

test(
  'worker and API hear where Temporal is in the end, when its first port was taken',
  { timeout: startDeadlineMs },
  async () => {
    const dataDir = makeDataDir();
    const port = await choosePort();
    const [tried, taken, stub] = [join(dataDir, 'tried'), join(dataDir, 'taken'), join(dataDir, 'stub')];
    // It says which port it was to have, and that somebody else has that, once somebody has.
    const first = `echo "$6" > '${tried}'; until [ -e '${taken}' ]; do sleep 0.1; done; echo 'bind: address already in use'; seq 40; exit 1`;
    const real = await findTemporal({ report: () => {} });
    writeFileSync(stub, `#!/bin/sh\n[ -e '${tried}' ] || { ${first}; }\nexec '${real}' "$@"\n`, { mode: 0o755 });
    const launcher = launch(dataDir, port, { ORCHFLOW_TEMPORAL_CLI: stub });
    await until(() => existsSync(tried) && records(dataDir).length === 4, 'worker and API have begun beside it');
    const squatter = createServer().listen(Number(readFileSync(tried, 'utf8')), '127.0.0.1');
    await once(squatter, 'listening');
    onTestFinished(() => void squatter.close());
    writeFileSync(taken, '');
    expect(await launcher.says('Try it')).toContain('Try it');
    const key = await register(port);
    const headers = { 'X-API-Key': key, 'content-type': 'application/json' };
    const request = { method: 'POST', headers, body: JSON.stringify({ message: 'Go.', initial_state: {} }) };
    const answer = await fetch(
      `http://127.0.0.1:${port}/api/v1/orchestrations/${await define(port, key)}/run`,
      request,
    );
    expect(await answer.json()).toMatchObject({ status: 'completed' });
    launcher.kill('SIGINT');
    expect((await launcher.finished()).code).toBe(0);
  },
);

test('what cannot be started is said, and nothing is left', { timeout: startDeadlineMs }, async () => {
  const dataDir = makeDataDir();
  // It is found out before PostgreSQL is there.
  const { code, output } = await launch(dataDir, await choosePort(), { ORCHFLOW_TEMPORAL_CLI: '/nope' }).finished();
  expect(code).toBe(1);
  expect(output).toContain('ORCHFLOW_TEMPORAL_CLI=/nope is not a program that can be run.');
  expect(records(dataDir)).toEqual([]);
});

test('a signal in the middle of the start stops what has been started', { timeout: startDeadlineMs }, async () => {
  const dataDir = makeDataDir();
  const launcher = launch(dataDir, await choosePort());
  await launcher.says('Starting Orchflow');
  launcher.kill('SIGTERM');
  const { code, output } = await launcher.finished();
  expect(code).toBe(0);
  expect(output).not.toContain('Try it');
  expect(records(dataDir)).toEqual([]);
});
