import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { expect, onTestFinished, test, vi } from 'vitest';
import { choosePort } from '../../src/embedded/ports.ts';
import { findTemporal, startTemporal } from '../../src/embedded/temporal.ts';
import type { StartTemporalOptions } from '../../src/embedded/temporal.ts';

vi.setConfig({ testTimeout: 120_000 });

const works = '#!/bin/sh\nexit 0\n';
const fakeGo = `#!/bin/sh\nsleep 0.2\nprintf '%s' '${works}' > "$GOBIN/temporal"\nchmod +x "$GOBIN/temporal"\n`;
const nowhere = 'http://127.0.0.1:9/cli';

function makeFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'orchflow-temporal-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A machine: an empty cache, and a PATH with nothing but a shell and what is put there. */
function makeMachine() {
  const folder = makeFolder();
  const bin = join(folder, 'bin');
  const cache = join(folder, 'cache', 'orchflow', 'bin');
  mkdirSync(bin);
  mkdirSync(cache, { recursive: true });
  const lines: string[] = [];
  return {
    bin,
    cache,
    lines,
    put: (path: string, script = works) => {
      writeFileSync(path, script, { mode: 0o755 });
      return path;
    },
    find: (env: Record<string, string> = {}, downloadBase = nowhere, signal?: AbortSignal) =>
      findTemporal({
        env: { PATH: bin, XDG_CACHE_HOME: join(folder, 'cache'), ...env },
        report: (line) => lines.push(line),
        downloadBase,
        signal,
      }),
  };
}

test('a temporal is taken from the setting, else the PATH, else the cache', async () => {
  const { bin, cache, put, find, lines } = makeMachine();
  const cached = put(join(cache, 'temporal-1.5.1'));
  expect(await find()).toBe(cached);
  const onPath = put(join(bin, 'temporal'));
  expect(await find()).toBe(onPath);
  const chosen = put(join(bin, 'my-temporal'));
  expect(await find({ ORCHFLOW_TEMPORAL_CLI: chosen })).toBe(chosen);
  await expect(find({ ORCHFLOW_TEMPORAL_CLI: '/no/temporal' })).rejects.toThrow('ORCHFLOW_TEMPORAL_CLI=/no/temporal');
  expect(lines).toEqual([]);
});

async function serveArchive(respond: (response: ServerResponse, archive: Buffer) => void) {
  const source = makeFolder();
  writeFileSync(join(source, 'temporal'), works, { mode: 0o755 });
  writeFileSync(join(source, 'LICENSE'), '');
  const archive = execFileSync('tar', ['-czf', '-', '-C', source, 'temporal', 'LICENSE']);
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    respond(response, archive);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { asked, base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/cli` };
}

test('it is downloaded into the cache when it is nowhere', async () => {
  const { cache, find, lines } = makeMachine();
  const { asked, base } = await serveArchive((response, archive) => void response.end(archive));
  const found = await find({}, base);
  expect(found).toBe(join(cache, 'temporal-1.5.1'));
  execFileSync(found);
  expect(asked).toEqual([expect.stringMatching(/^\/cli\/v1\.5\.1\?platform=(linux|darwin)&arch=(amd64|arm64)$/)]);
  expect(readdirSync(cache)).toEqual(['temporal-1.5.1']);
  expect(lines).toEqual([expect.stringContaining('downloading Temporal 1.5.1 from 127.0.0.1')]);
});

test('half a download is no download', async () => {
  const { cache, find } = makeMachine();
  const { base } = await serveArchive((response, archive) => {
    response.setHeader('content-length', archive.length);
    response.write(archive.subarray(0, archive.length / 2), () => response.destroy());
  });
  await expect(find({}, base)).rejects.toThrow(/download from 127\.0\.0\.1:\d+ failed/);
  expect(readdirSync(cache)).toEqual([]);
});

test('it is built with Go when the download fails; two at once do not disturb each other', async () => {
  const { bin, cache, put, find, lines } = makeMachine();
  put(join(bin, 'go'), fakeGo);
  const env = { PATH: `${bin}:/usr/bin:/bin` };
  const found = await Promise.all([find(env), find(env)]);
  expect(found).toEqual([join(cache, 'temporal-1.5.1'), join(cache, 'temporal-1.5.1')]);
  expect(readdirSync(cache)).toEqual(['temporal-1.5.1']);
  expect(lines).toContainEqual(
    expect.stringMatching(/^download from 127\.0\.0\.1:9 failed: .*(ECONNREFUSED|bad port)/),
  );
  expect(lines).toContainEqual(expect.stringMatching(/^building Temporal 1\.5\.1 with go install/));
});

test('without internet and Go the error says the three ways out', async () => {
  const { cache, find } = makeMachine();
  const error = await find().then(String, String);
  expect(error).toContain('download from 127.0.0.1:9 failed');
  expect(error).toContain('no "go" on the PATH');
  for (const way of ['ORCHFLOW_TEMPORAL_CLI', 'Install Go', 'TEMPORAL_ADDRESS']) expect(error).toContain(way);
  expect(readdirSync(cache)).toEqual([]);
});

test('a build can be broken off, and leaves nothing', async () => {
  const { bin, cache, put, find } = makeMachine();
  put(join(bin, 'go'), '#!/bin/sh\nsleep 60\n');
  const stopping = new AbortController();
  const finding = find({ PATH: `${bin}:/usr/bin:/bin` }, nowhere, stopping.signal);
  setTimeout(() => stopping.abort(), 300);
  await expect(finding).rejects.toThrow('aborted');
  expect(readdirSync(cache)).toEqual([]);
});

async function start(options: Partial<StartTemporalOptions> & { logFile: string }) {
  const binary = options.binary ?? (await findTemporal({ report: () => {} }));
  const temporal = await startTemporal({ report: () => {}, headless: true, ...options, binary });
  onTestFinished(() => temporal.stop());
  return temporal;
}

async function describe(address: string) {
  const connection = await Connection.connect({ address });
  try {
    const { config } = await connection.workflowService.describeNamespace({ namespace: 'default' });
    const attributes = await connection.operatorService.listSearchAttributes({ namespace: 'default' });
    return {
      retention_days: Number(config?.workflowExecutionRetentionTtl?.seconds) / 86_400,
      search_attributes: Object.keys(attributes.customAttributes ?? {}).toSorted(),
    };
  } finally {
    await connection.close();
  }
}

test('the server starts with our namespace settings, from nothing, after a kill, and after half a first start', async () => {
  const folder = makeFolder();
  const dbFile = join(folder, 'data', 'temporal.db');
  const logFile = join(folder, 'temporal.log');
  const expected = {
    retention_days: 30,
    search_attributes: ['OrchflowAccount', 'OrchflowStatus', 'OrchflowWaitingTasks'],
  };
  mkdirSync(join(folder, 'data'));
  writeFileSync(dbFile, ''); // made, but killed before the tables were
  writeFileSync(`${dbFile}.unfinished`, '');

  const first = await start({ dbFile, logFile });
  expect(await describe(first.address)).toEqual(expected);
  expect(existsSync(`${dbFile}.unfinished`)).toBe(false);
  expect(first.lastWords()).not.toContain('Failed to convert value'); // of our dynamic config
  process.kill(first.pid, 'SIGKILL');
  await first.exited;

  const second = await start({ dbFile, logFile });
  expect(await describe(second.address)).toEqual(expected);
});

test('a run that loses one worker after another waits ten seconds more for the next, at most', async () => {
  const { address } = await start({ logFile: join(makeFolder(), 'temporal.log') });
  const connection = await Connection.connect({ address });
  onTestFinished(() => connection.close());
  await new Client({ connection }).workflow.start('any', {
    workflowId: 'run_of_doomed_workers',
    taskQueue: 'doomed',
    workflowTaskTimeout: '1s',
  });
  // Takes the workflow task, and is never heard of again.
  const poll = () =>
    connection.withDeadline(Date.now() + 60_000, () =>
      connection.workflowService.pollWorkflowTaskQueue({ namespace: 'default', taskQueue: { name: 'doomed' } }),
    );
  let given = await poll();
  while (given.attempt < 6) given = await poll();
  const scheduled = given.history!.events!.findLast((event) => event.workflowTaskScheduledEventAttributes);
  const { startToCloseTimeout } = scheduled!.workflowTaskScheduledEventAttributes!;
  expect(Number(startToCloseTimeout!.seconds)).toBeLessThanOrEqual(11);
});

test('a port that somebody takes in between is not the end: it starts on another', async () => {
  const folder = makeFolder();
  const real = await findTemporal({ report: () => {} });
  const port = await choosePort();
  const holder = join(folder, 'holder.mjs');
  const holds = `import { spawnSync } from 'node:child_process';
    import { createServer } from 'node:net';
    createServer().listen(${port}, '127.0.0.1', () => {
      process.exit(spawnSync(${JSON.stringify(real)}, process.argv.slice(2), { stdio: 'inherit' }).status);
    });`;
  writeFileSync(holder, holds);
  const binary = join(folder, 'temporal');
  const script = `#!/bin/sh
    if mkdir '${folder}/first' 2>/dev/null; then exec '${process.execPath}' '${holder}' "$@"; fi
    exec '${real}' "$@"\n`;
  writeFileSync(binary, script, { mode: 0o755 });
  const preferred = { port, uiPort: await choosePort() };
  const temporal = await start({ binary, preferred, logFile: join(folder, 'temporal.log') });
  expect(readFileSync(join(folder, 'temporal.log'), 'utf8')).toContain('address already in use');
  expect(await describe(temporal.address)).toMatchObject({ retention_days: 30 });
});

test('a server that ends at once is an error with its last words', async () => {
  const folder = makeFolder();
  const binary = join(folder, 'temporal');
  writeFileSync(binary, '#!/bin/sh\necho out of luck\nexit 3\n', { mode: 0o755 });
  const starting = start({ binary, logFile: join(folder, 'temporal.log') });
  await expect(starting).rejects.toThrow(/ended at once \(exit code 3\):\nout of luck/);
});
