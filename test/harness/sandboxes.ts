import { accessSync, chmodSync, constants, existsSync, mkdtempSync, rmSync } from 'node:fs';
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

export const present: Record<Driver, boolean> = {
  bubblewrap: process.platform === 'linux' && existsSync('/usr/bin/bwrap'),
  deno: deno !== undefined,
};

for (const [driver, isThere] of Object.entries(present))
  if (!isThere) console.warn(`${driver} is not here: what it would be tested by is skipped.`);

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
    const started = { command: '/bin/sh', args, env, cwd: job.code, stdin: job.stdin?.('') ?? '' };
    return { ...(await runProcess(started, job)), files: [] };
  },
};
