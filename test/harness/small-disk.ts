import { execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { until } from './client.ts';

/** A file system that can be full. It is a process's own, and gone with it. */

export type SmallDisk = Awaited<ReturnType<typeof startSmallDisk>>;

const isRoot = process.getuid?.() === 0;
/** As root, a name space for mounts is enough; others need to be root in one of their own. */
const spaces = isRoot ? ['--mount'] : ['--mount', '--user'];
const unshare = ['unshare', ...spaces, ...(isRoot ? [] : ['--map-root-user'])] as const;

const mount = 'mount -t tmpfs -o size="$1"m,mode=1777 small-disk "$2"';

/** Whether this machine lets us have one: not every kernel and container does. */
export function canMount(): boolean {
  try {
    execFileSync(unshare[0], [...unshare.slice(1), 'sh', '-c', mount, 'sh', '1', '/tmp'], { stdio: 'pipe' });
    return true;
  } catch {
    return false;
  }
}

/**
 * Mounts a disk on `dir`, for those who enter. Root can give it to the `owner` that a server runs as: of all others, only
 * that user reaches it then.
 */
export async function startSmallDisk(dir: string, { megabytes, owner }: { megabytes: number; owner?: string }) {
  // It lives until its input ends, which it does when the test is killed too.
  const as = `setpriv --reuid ${owner} --regid "$(id -g ${owner})" --clear-groups`;
  const live = owner && isRoot ? `exec ${as} cat` : 'exec cat';
  const script = `${mount} && echo mounted && ${live}`;
  const keeper = spawn(unshare[0], [...unshare.slice(1), 'sh', '-c', script, 'sh', String(megabytes), dir]);
  let said = '';
  for (const stream of [keeper.stdout, keeper.stderr]) stream.on('data', (chunk: Buffer) => void (said += chunk));
  const exited = new Promise((resolve) => keeper.once('exit', resolve));
  await until(
    () => said.includes('mounted'),
    () => `a small disk: ${said}`,
    5_000,
  );
  const outside = `/proc/${keeper.pid}/root${dir}`;
  const ballast = `${outside}/ballast`;
  return {
    /** The disk, for those who have not entered. Not for SQLite, which finds out where the link leads to. */
    outside,
    /** A program at `file` that is `program`, in there. */
    enter(file: string, program: string) {
      const nsenter = ['nsenter', '--target', keeper.pid, ...spaces, ...(isRoot ? [] : ['--preserve-credentials'])];
      writeFileSync(file, `#!/bin/sh\nexec ${nsenter.join(' ')} '${program}' "$@"\n`, { mode: 0o755 });
      return file;
    },
    /** Leaves no byte. */
    fill() {
      const file = openSync(ballast, 'a');
      try {
        for (const bytes of [1024 * 1024, 4096]) writeUntilFull(file, Buffer.alloc(bytes));
      } finally {
        closeSync(file);
      }
    },
    /** There is room again. */
    free: () => rmSync(ballast),
    async close() {
      keeper.stdin.end();
      await exited;
    },
  };
}

function writeUntilFull(file: number, block: Buffer): void {
  try {
    for (;;) writeSync(file, block);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}
