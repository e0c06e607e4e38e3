import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SandboxFault, type Job, type Limits, type Sandbox } from './job.ts';

/** Whether a sandbox holds what it promises: each is tried at the start of a worker, and one that does not is not used. */

const limits: Limits = {
  wall_ms: 20_000,
  memory_bytes: 256 * 1024 * 1024,
  processes: 24,
  disk_bytes: 8 * 1024 * 1024,
  output_bytes: 64 * 1024,
};
/** In the environment of this process as long as it is looked for there. */
const variable = 'ORCHFLOW_ESCAPE_CANARY';

/**
 * Runs code that tries to get out, and returns the names of the ways that it has found; none when the sandbox is sound.
 * @param folder for what it is given; made, and removed again.
 * @param environment of this process, which the code must not see.
 * @throws Error when the code could not be run at all.
 */
export async function findEscapes(
  sandbox: Pick<Sandbox, 'run' | 'languages'>,
  folder: string,
  environment: Record<string, string | undefined>,
): Promise<string[]> {
  const secret = randomBytes(12).toString('hex');
  const code = path.join(folder, 'code');
  const file = path.join(folder, 'secret.txt');
  const json = path.join(folder, 'secret.json');
  const abstract = `orchflow-${secret.slice(0, 8)}`;
  await mkdir(code, { recursive: true });
  environment[variable] = secret;
  const [web, local] = await Promise.all([listen({ host: '127.0.0.1', port: 0 }), listenAbstract(abstract)]);
  try {
    await writeFile(file, secret, { mode: 0o644 });
    await writeFile(json, JSON.stringify({ secret }), { mode: 0o644 });
    await mkdir(path.join(folder, 'linked'));
    await symlink(file, path.join(folder, 'linked', 'link'));
    await writeFile(path.join(folder, 'linked', 'read.mjs'), reading);
    for (const name of ['escapes.py', 'escapes.mjs'])
      await copyFile(path.join(import.meta.dirname, name), path.join(code, name));
    await writeFile(
      path.join(code, 'import-host.mjs'),
      `export { default } from ${JSON.stringify(json)} with { type: 'json' };`,
    );
    await writeFile(path.join(code, 'hide.py'), hiding);
    await writeFile(path.join(code, 'loop.mjs'), 'for (;;);');
    await writeFile(
      path.join(code, 'hoard.mjs'),
      'const all = []; for (;;) all.push(new Uint8Array(1 << 24).fill(1));',
    );
    const given = {
      secret,
      file,
      json,
      abstract,
      port: (web.address() as AddressInfo).port,
      pid: process.pid,
      command: await readFile('/proc/self/cmdline', 'latin1').catch(() => ''),
      disk_bytes: limits.disk_bytes,
      processes: limits.processes,
    };
    const ways = waysOf(sandbox.languages).map((way) => way(sandbox, code, JSON.stringify(given)));
    return (await Promise.all(ways)).flat();
  } finally {
    delete environment[variable];
    web.close();
    local?.close();
    await rm(folder, { recursive: true, force: true });
  }
}

type Way = (sandbox: Pick<Sandbox, 'run'>, code: string, given: string) => Promise<string[]>;

function waysOf(languages: Sandbox['languages']): Way[] {
  if (!languages.includes('python'))
    return [probe('node escapes.mjs'), linked, hoard('node hoard.mjs'), endless('node loop.mjs')];
  const hoards = [hoard(`python3 -c "${hoarding}"`), hoard('python3 hide.py', 'memory that no process has')];
  return [probe('python3 escapes.py'), linked, ...hoards, daemon, endless('node loop.mjs')];
}

/** Several processes, none of which alone has too much. */
const hoarding =
  "import os, time; [os.fork() for _ in range(2)]; a = bytearray(150 << 20); a[::4096] = b'x' * len(a[::4096]); time.sleep(15)";

/** Memory that is in none of its processes. Where there is no filter of system calls, only a control group counts it. */
const hiding = `import ctypes, mmap, os, sys
size, part = 300 << 20, 1 << 20
def file():
    some = os.memfd_create("some")
    for _ in range(0, size, part): os.write(some, b"x" * part)
    os.close(some)
def mapped(descriptor):
    some = mmap.mmap(descriptor, size)
    for at in range(0, size, part):
        some[at : at + part] = b"x" * part
        some.madvise(mmap.MADV_DONTNEED, at, part)
    some.close()
def segment():
    libc = ctypes.CDLL(None)
    some = libc.shmget(0, part, 0o1600)
    if some < 0: raise OSError()
    libc.shmctl(some, 0, None)
if os.uname().machine not in ("x86_64", "aarch64"): sys.exit(1)
for way in [file, lambda: mapped(-1), lambda: mapped(os.open("/dev/zero", os.O_RDWR)), segment]:
    try: way()
    except OSError: continue
    sys.exit(0)
sys.exit(1)
`;

function probe(command: string): Way {
  return async (sandbox, code, given) => {
    const { ended, exit_code, stdout, stderr } = await sandbox.run({ command, code, stdin: () => given, limits });
    if (ended !== 'exited' || exit_code !== 0) {
      throw new Error(`its probe ended (${ended}, ${exit_code}): ${stderr.text.trim().slice(-300)}`);
    }
    return JSON.parse(stdout.text) as string[];
  };
}

const reading =
  "import { readFileSync } from 'node:fs'; console.log(readFileSync(new URL('link', import.meta.url), 'utf8'));";

/** A link among its code to a file of the host. A driver may refuse to run such code. */
const linked: Way = async (sandbox, code, given) => {
  const { secret } = JSON.parse(given) as { secret: string };
  try {
    const job = { command: 'node read.mjs', code: path.join(path.dirname(code), 'linked'), limits };
    return (await sandbox.run(job)).stdout.text.includes(secret) ? ['symlinks'] : [];
  } catch (error) {
    if (error instanceof SandboxFault) return [];
    throw error;
  }
};

function hoard(command: string, name = 'memory'): Way {
  return async (sandbox, code) => {
    const { ended, exit_code } = await sandbox.run({ command, code, limits: { ...limits, wall_ms: 10_000 } });
    return ended === 'memory' || (ended === 'exited' && exit_code !== 0) ? [] : [name];
  };
}

function endless(command: string): Way {
  return async (sandbox, code) => {
    const job: Job = { command, code, limits: { ...limits, wall_ms: 400 } };
    const { ended } = await sandbox.run(job);
    return ended === 'time' ? [] : ['time'];
  };
}

/** What a job leaves running must be gone soon after it. */
const daemon: Way = async (sandbox, code) => {
  const mark = `31${Math.floor(Math.random() * 1e6)}`;
  await sandbox.run({ command: `setsid sleep ${mark} >/dev/null 2>&1 & sleep 0.05`, code, limits });
  for (let tries = 0; tries < 50; tries += 1) {
    if (!(await isRunning(mark))) return [];
    await sleep(20);
  }
  return ['processes left behind'];
};

async function isRunning(mark: string): Promise<boolean> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')));
  return lines.some((line) => line === `sleep\0${mark}\0`);
}

async function listen(at: { host: string; port: number } | { path: string }): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(at, resolve);
  });
  return server;
}

/** Only Linux has sockets whose names are in no folder. */
function listenAbstract(name: string): Promise<Server | undefined> {
  return process.platform === 'linux' ? listen({ path: `\0${name}` }) : Promise.resolve(undefined);
}
