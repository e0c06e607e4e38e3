import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { present } from '../harness/sandboxes.ts';

/** A worker in a container is its first process, and so is the first of a job in its jail. */

const finding = `
  import { findSandbox } from ${JSON.stringify(path.join(import.meta.dirname, '../../src/sandbox/index.ts'))};
  const found = await findSandbox({
    SANDBOX_DRIVER: 'bubblewrap', SANDBOX_DIR: process.env.SANDBOX_DIR, SANDBOX_HOSTS: [], ORCHFLOW_ALLOWED_PRIVATE_CIDRS: [],
    PORT: 1, inherited: process.env,
  });
  console.log(process.pid, 'sandbox' in found ? 'holds' : found.reason);
  process.exit();
`;

test.skipIf(!present.bubblewrap || process.getuid!() !== 0)(
  'its sandbox holds too: what has its number in the jail is not taken for it',
  () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'orchflow-first-'));
    chmodSync(dir, 0o711); // Who runs jobs goes through it.
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    const asFirst = ['--pid', '--fork', '--kill-child', '--mount-proc', process.execPath, '--input-type=module', '-e'];
    const env = { PATH: process.env.PATH, SANDBOX_DIR: path.join(dir, 'sandbox') };
    const { stdout, stderr } = spawnSync('unshare', [...asFirst, finding], { env, encoding: 'utf8', timeout: 60_000 });
    expect({ stdout, stderr }).toEqual({ stdout: '1 holds\n', stderr: '' });
  },
);
