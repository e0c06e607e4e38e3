import { spawn, spawnSync } from 'node:child_process';
import { accessSync, chmodSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { runProcess } from '../../src/sandbox/spawn.ts';
import { findSandbox, type Job, type Outcome, type Sandbox } from '../../src/sandbox/index.ts';

/** The drivers of sandboxes that this machine has, for tests. */

export type Driver = Sandbox['driver'];

/** `SANDBOX_DENO`, or what is in the PATH. */
const deno = [
  process.env.SANDBOX_DENO,
  ...(process.env.PATH ?? '').split(':').map((folder) => path.join(folder, 'deno')),
]
  .filter((file) => file !== undefined)
  .find(isProgram);

const missing: Record<Driver, string | undefined> = {
  bubblewrap: process.platform === 'linux' ? whyNoNamespaces() : 'this is no Linux',
  deno: deno === undefined ? 'it is not installed' : undefined,
};

for (const [driver, why] of Object.entries(missing))
  if (why) console.warn(`Skipped: what is tested in the sandbox of ${driver}: ${why}.`);

export const present = { bubblewrap: !missing.bubblewrap, deno: !missing.deno } satisfies Record<Driver, boolean>;

/** Where bubblewrap is there, the kernel, or a container around this, may still not let it make its namespaces. */
function whyNoNamespaces(): string | undefined {
  const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all', '--'];
  const [program, ...rest] = [
    process.getuid!() === 0 ? asNobody : [],
    'prlimit --nofile=1024 -- bwrap --unshare-all --unshare-user --disable-userns --ro-bind / / --proc /proc --dev /dev -- python3 -V'.split(
      ' ',
    ),
  ].flat();
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin' };
  const { status, stderr, error } = spawnSync(program!, rest, { env, cwd: '/', encoding: 'utf8', timeout: 20_000 });
  return status === 0 ? undefined : (error?.message ?? stderr.trim()) || 'bwrap fails';
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Opens a sandbox as a worker does, which tries it first. `root` is its folder. Throws when it is not sound. */
export async function openSandbox(SANDBOX_DRIVER: Driver, more: { SANDBOX_HOSTS?: string[]; PORT?: number } = {}) {
  const root = mkdtempSync(path.join(tmpdir(), 'orchflow-sandbox-test-'));
  // Who runs jobs goes through it.
  chmodSync(root, 0o711);
  const found = await findSandbox({
    SANDBOX_DRIVER,
    SANDBOX_DIR: path.join(root, 'sandbox'),
    SANDBOX_DENO: deno,
    SANDBOX_HOSTS: [],
    ORCHFLOW_ALLOWED_PRIVATE_CIDRS: [],
    PORT: 9,
    inherited: process.env,
    ...more,
  });
  if ('reason' in found) throw new Error(found.reason);
  const { sandbox } = found;
  return {
    root,
    sandbox,
    async close() {
      await sandbox.close();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** What is no sandbox: the same process with nothing around it. */
export const noSandbox: Pick<Sandbox, 'run' | 'languages'> = {
  languages: ['python', 'javascript'],
  async run(job: Job): Promise<Outcome> {
    const env = process.env as Record<string, string>;
    const args = ['-c', job.command];
    const begin = () => spawn('/bin/sh', args, { env, cwd: job.code, detached: true });
    return { ...(await runProcess({ begin, stdin: job.stdin?.('') ?? '' }, job)), files: [] };
  },
};
