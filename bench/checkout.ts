import { execFile, execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { chmod, mkdtemp, readFile, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const root = path.join(import.meta.dirname, '..');
const run = promisify(execFile);

/**
 * Another commit in a temporary folder, which is gone when this process ends, with its packages: those of this checkout
 * when both lock the same ones.
 * @returns the folder
 */
export async function checkOut(commit: string): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), 'orchflow-bench-'));
  process.once('exit', () => {
    rmSync(dir, { recursive: true, force: true });
    execFileSync('git', ['worktree', 'prune'], { cwd: root });
  });
  await chmod(dir, 0o755); // PostgreSQL, whose programs are in there, may run as another user
  const checkout = path.join(dir, 'checkout');
  await run('git', ['worktree', 'add', '--detach', checkout, commit], { cwd: root });
  const [own, theirs] = await Promise.all([root, checkout].map((at) => readFile(path.join(at, 'package-lock.json'))));
  if (own!.equals(theirs!)) await symlink(path.join(root, 'node_modules'), path.join(checkout, 'node_modules'));
  else await run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: checkout });
  return checkout;
}
