import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isForRunKeys } from '../../src/accounts/run-keys.ts';
import { findEscapes, SandboxFault, type Job, type Limits } from '../../src/sandbox/index.ts';
import { readable } from '../../src/sandbox/workspace.ts';
import { until } from '../harness/orchflow.ts';
import { noSandbox, openSandbox, present, type Driver } from '../harness/sandboxes.ts';

/** The drivers of sandboxes, each where it is present: what gets out of them, and where they stop. */

const limits: Limits = {
  wall_ms: 20_000,
  memory_bytes: 256 * 1024 * 1024,
  processes: 32,
  disk_bytes: 16 * 1024 * 1024,
  output_bytes: 10_000,
};

/** Programs that do the same in the languages of the drivers. */
const programs: Record<Driver, Record<string, string>> = {
  bubblewrap: {
    echo: 'python3 -c "import sys; print(sys.stdin.read())"',
    hoard: `python3 -c "a = [bytearray(10 << 20) for _ in range(200)]; input()"`,
    endless: 'python3 -c "while True: pass"',
    flood: 'yes',
    fail: 'python3 -c "raise SystemExit(3)"',
  },
  deno: {
    echo: 'node echo.mjs',
    hoard: 'node hoard.mjs',
    endless: 'node endless.mjs',
    flood: 'node flood.mjs',
    fail: 'node fail.mjs',
  },
};

const files = {
  'echo.mjs': "import { readFileSync } from 'node:fs'; console.log(readFileSync(0, 'utf8'));",
  'hoard.mjs': 'const all = []; for (;;) all.push(new Uint8Array(1 << 24).fill(1));',
  'endless.mjs': 'for (;;);',
  'flood.mjs': "for (;;) console.log('y'.repeat(1000));",
  'fail.mjs': 'process.exit(3);',
};

test('what lets everything out is found to do so, way by way', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'orchflow-escapes-'));
  const inPython = await findEscapes(noSandbox, path.join(folder, 'one'), process.env);
  const ofPython =
    'host files, symlinks, writing to its code, network, sockets of the host, other processes, signals to other processes, ' +
    'environment, user namespaces, disk, disk of /dev/shm, system calls, memory that no process has, processes without end, processes left behind';
  // Where this machine lets nobody make them, that is no way out.
  const open = ofPython.split(', ').filter((way) => present.bubblewrap || way !== 'user namespaces');
  expect(inPython).toEqual(expect.arrayContaining(open));
  const javascriptOnly = { ...noSandbox, languages: ['javascript' as const] };
  const inJavaScript = await findEscapes(javascriptOnly, path.join(folder, 'two'), process.env);
  const ofJavaScript =
    'host files, imports of host files, imports of host files by other modules, writing to its code, writing beside its code, ' +
    'disk, network, programs, environment, environment of others, symlinks';
  expect(inJavaScript).toEqual(expect.arrayContaining(ofJavaScript.split(', ')));
  expect(readdirSync(folder)).toEqual([]);
  rmSync(folder, { recursive: true });
});

test.skipIf(process.getuid!() !== 0)(
  'what a worker that is root keeps to itself is copied for who runs the jobs',
  async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'orchflow-own-'));
    const file = path.join(folder, 'own', 'program');
    mkdirSync(path.dirname(file));
    writeFileSync(file, 'its own');
    chmodSync(folder, 0o700);
    const copy = await readable(file, mkdtempSync(path.join(folder, 'for-jobs-')));
    expect([copy === file, readFileSync(copy, 'utf8')]).toEqual([false, 'its own']);
    chmodSync(folder, 0o711);
    expect(await readable(file, folder)).toBe(file);
    rmSync(folder, { recursive: true });
  },
);

for (const driver of ['bubblewrap', 'deno'] as const) {
  describe.skipIf(!present[driver])(driver, () => {
    let open: Awaited<ReturnType<typeof openSandbox>>;
    const code = mkdtempSync(path.join(tmpdir(), 'orchflow-code-'));
    const run = (job: Partial<Job>) => open.sandbox.run({ command: '', code, limits, ...job });
    const own = programs[driver];

    beforeAll(async () => {
      for (const [name, text] of Object.entries(files)) writeFileSync(path.join(code, name), text);
      // Whoever runs jobs may look into it.
      chmodSync(code, 0o755);
      open = await openSandbox(driver);
    });
    afterAll(async () => {
      await open.close();
      rmSync(code, { recursive: true, force: true });
    });

    test('nothing that is tried gets out, and nothing stays of it', async () => {
      expect(await findEscapes(open.sandbox, path.join(open.root, 'sandbox', 'escapes'), process.env)).toEqual([]);
      const [worker] = readdirSync(path.join(open.root, 'sandbox'));
      const jobs = path.join(open.root, 'sandbox', worker!, 'jobs');
      await until(() => readdirSync(jobs).length === 0, 'the folders of the jobs are gone');
    });

    test('it is fed, heard, and stopped at each of its limits', async () => {
      const heard: string[] = [];
      const echo = await run({
        command: own.echo,
        stdin: (uploads) => JSON.stringify({ uploads, ä: '€' }),
        onOutput: (stream, text) => void heard.push(`${stream}: ${text}`),
      });
      expect(echo).toMatchObject({ ended: 'exited', exit_code: 0 });
      expect(JSON.parse(echo.stdout.text)).toMatchObject({ ä: '€' });
      expect(heard.join('')).toContain('stdout: {');
      expect(await run({ command: own.fail })).toMatchObject({ ended: 'exited', exit_code: 3 });
      expect(await run({ command: own.hoard })).toMatchObject({ ended: 'memory', exit_code: null });
      expect(await run({ command: own.endless, limits: { ...limits, wall_ms: 500 } })).toMatchObject({ ended: 'time' });
      const flood = await run({ command: own.flood });
      expect(flood).toMatchObject({ ended: 'output', stdout: { is_cut: true } });
      expect(flood.stdout.text).toHaveLength(limits.output_bytes);
      const cancelling = new AbortController();
      const cancelled = run({ command: own.endless, signal: cancelling.signal, beforeStart: cancelSoon });
      expect(await cancelled).toMatchObject({ ended: 'cancelled', exit_code: null });
      const late = run({ command: own.endless, signal: cancelling.signal });
      await expect(late).rejects.toThrow('Not needed any more.');

      async function cancelSoon(): Promise<void> {
        setTimeout(() => cancelling.abort(new Error('Not needed any more.')), 200);
      }
    });
  });
}

describe.skipIf(!present.bubblewrap)('bubblewrap', () => {
  let open: Awaited<ReturnType<typeof openSandbox>>;
  const code = mkdtempSync('/tmp/orchflow-code-');
  const run = (command: string, more: Partial<Job> = {}) => open.sandbox.run({ command, code, limits, ...more });
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const { authorization = '' } = request.headers;
    asked.push(`${request.method} ${request.url} ${authorization}`.trim());
    response.end('hello from outside');
  });

  beforeAll(async () => {
    chmodSync(code, 0o755);
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const { port } = server.address() as AddressInfo;
    open = await openSandbox('bubblewrap', { PORT: port, SANDBOX_HOSTS: [`127.0.0.1:${port}`, '*.example.com'] });
  });
  afterAll(async () => {
    server.close();
    await open.close();
    rmSync(code, { recursive: true, force: true });
  });

  test('a fork bomb ends, and nobody on the machine is root for it', async () => {
    const bomb = run('python3 -c "\nimport os\nwhile True:\n  try: os.fork()\n  except OSError: pass\n"', {
      limits: { ...limits, wall_ms: 1_500 },
    });
    const mark = `77${Math.floor(Math.random() * 1e6)}`;
    const sleeping = run(`sleep ${mark}`, { limits: { ...limits, wall_ms: 1_500 } });
    let status = '';
    await until(() => (status = statusOf(`sleep\0${mark}\0`)) !== '', 'the process is there');
    if (process.getuid!() === 0) expect(/^Uid:\t(\d+)/m.exec(status)![1]).not.toBe('0');
    expect(/^CapEff:\t(\w+)/m.exec(status)![1]).toMatch(/^0+$/);
    expect((await bomb).ended).toMatch(/time|memory/);
    await sleeping;
    expect(statusOf(`sleep\0${mark}\0`)).toBe('');
  });

  test('files go in and come out, and what is not a file does not', async () => {
    const upload = (name: string) => ({ name, write: async (at: string) => writeFileSync(at, `of ${name}`) });
    const leaving =
      'cat /tmp/uploads/in.txt > /tmp/outputs/out.txt; mkdir /tmp/outputs/deep; echo 1 > /tmp/outputs/deep/file; ' +
      'ln -s /etc/passwd /tmp/outputs/link; ln /tmp/outputs/out.txt /tmp/outputs/hard; mkfifo /tmp/outputs/pipe; ' +
      'echo no > /tmp/uploads/in.txt || echo refused';
    const left = await run(leaving, { uploads: [upload('in.txt')], outputs_bytes: 100_000 });
    expect(left.stdout.text).toBe('refused\n');
    const contents = left.files.map(({ name, content }) => [name, content.toString()]);
    // Of two names of one file the first that is found.
    const linked = [expect.stringMatching(/^(hard|out\.txt)$/), 'of in.txt'];
    expect(contents).toEqual(expect.arrayContaining([['deep/file', '1\n'], linked]));
    expect(contents).toHaveLength(2);
    const much = await run('head -c 200000 /dev/zero > /tmp/outputs/zeros', { outputs_bytes: 100_000 });
    expect(much).toMatchObject({ files: [], files_fault: expect.stringContaining('larger') });
    const forged = await run('printf "%0512d" 7 >&4; exec 4>&-', { outputs_bytes: 100_000 });
    expect(forged.files).toEqual([]);
  });

  test('only the API, and hosts that both sides name, are reached, and only where they are public', async () => {
    const fetch = (url: string) => `python3 -c "
import os, urllib.request, urllib.error
try: print(urllib.request.urlopen(${url}, timeout=5).read().decode())
except urllib.error.HTTPError as error: print(error.code, error.read().decode())
except Exception as error: print(repr(error))"`;
    const gateway = { key: 'own', passes: isForRunKeys };
    const at = (path: string, headers = '{}') =>
      `urllib.request.Request(os.environ['ORCHAGENT_GATEWAY_URL'] + '${path}', headers=${headers})`;
    const other = "{'X-API-Key': 'of-another', 'Authorization': 'Bearer of-another'}";
    const run_id = 'run_0123456789abcdefghjk';
    expect((await run(fetch(at(`/v1/runs/${run_id}?x=1`, other)), { gateway })).stdout.text).toBe(
      'hello from outside\n',
    );
    const passed = `GET /v1/runs/${run_id}?x=1 Bearer own`;
    expect(asked.splice(0)).toEqual([passed]);
    for (const path of ['/health', '/api/v1/runs', `/v1/runs/${run_id}/../../keys`, '//elsewhere.test/v1/runs/x'])
      expect((await run(fetch(at(path)), { gateway })).stdout.text, path).toContain('403 Code may call agents');
    expect(asked).toEqual([]);
    expect((await run(fetch(at('/health')))).stdout.text).toContain('KeyError');
    const posts = [
      '/acme/reader/v1/run',
      '/api/v1/auth/register',
      '/api/x/v1/run',
      '/%61pi/v1/auth/register',
      '/acme/a/v1',
    ];
    expect(posts.map((path) => isForRunKeys('POST', path))).toEqual([true, false, false, false, false]);

    const hosts = ['127.0.0.1', 'api.example.com', 'elsewhere.test'];
    const { port } = server.address() as AddressInfo;
    const through = (url: string, more: Partial<Job> = {}) =>
      run(fetch(`'${url}'`), { hosts, env: { NO_PROXY: '', no_proxy: '' }, ...more });
    // It is named by both, and is this machine.
    const named = await through(`http://127.0.0.1:${port}/`, { hosts: [`127.0.0.1:${port}`] });
    expect(named.stdout.text).toContain('403 127.0.0.1 is not a public address');
    // The agent names it, and the operator does not; and the other way round.
    expect((await through('http://elsewhere.test/')).stdout.text).toContain(
      '403 This code may not call elsewhere.test',
    );
    expect((await through('https://other.example.com/')).stdout.text).toContain('403');
    // A port that either side does not name; where none is said it is 80 and 443.
    for (const [url, host] of [
      ['http://api.example.com:25/', 'api.example.com'],
      ['http://api.example.com:25/', 'api.example.com:25'],
      ['http://127.0.0.1/', '127.0.0.1'],
    ]) {
      const refused = (await through(url!, { hosts: [host!] })).stdout.text;
      expect(refused, `${url} of ${host}`).toContain('403 This code may not call');
    }
    expect(asked).toEqual([]);
  });

  test('what it must not say is never told, nor kept, in however many parts it is printed', async () => {
    const heard: string[] = [];
    const secret = 'sk-ä-0123456789';
    const printing = `printf 'a ${secret} sk-\\303'; sleep 0.1; printf '\\244-0123'; sleep 0.1; printf '456789 b sk-ä-0'`;
    const job = { secrets: [secret, 'a'], onOutput: (_: string, text: string) => void heard.push(text) };
    const { stdout } = await run(printing, job);
    expect(stdout.text).toBe('a ******** ******** b sk-ä-0');
    expect(heard.join('')).toBe(stdout.text);
  });

  test('what cannot be run is no fault of the sandbox', async () => {
    expect(await run('no-such-program')).toMatchObject({ ended: 'exited', exit_code: 127 });
    await expect(run('true', { env: { A: 'a\0--bind\0/\0/host' } })).rejects.toThrow(SandboxFault);
    // It says so itself, at length.
    const forged: Error = await run('printf "bwrap: %09000d\n" 1 >&2; exit 1').then(String, (error) => error);
    expect(forged).toBeInstanceOf(SandboxFault);
    expect((forged.cause as Error).message).toHaveLength(300);
  });
});

/** Of the process with this command line. */
function statusOf(cmdline: string): string {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (readFileSync(`/proc/${pid}/cmdline`, 'latin1') === cmdline)
        return readFileSync(`/proc/${pid}/status`, 'utf8');
    } catch {
      // It has ended meanwhile.
    }
  }
  return '';
}
