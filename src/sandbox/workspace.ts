import { createHash, randomBytes } from 'node:crypto';
import { chownSync, constants, lstatSync, mkdirSync } from 'node:fs';
import { chmod, copyFile, mkdir, readdir, realpath, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import type { Upload } from './job.ts';
import { startOf } from './processes.ts';

/** The folders of one worker, in which the files of jobs lie; what workers have left that died is swept at start. */

/** As whom jobs run when the worker is root: somebody who owns nothing. */
export const nobody = 65_534;

export type Workspace = {
  /** This worker's own. */
  folder: string;
  /** A folder for a job, with its uploads in `uploads`. */
  makeJob: (uploads: Upload[]) => Promise<{ folder: string; uploads: string }>;
  removeJob: (folder: string) => Promise<void>;
  close: () => Promise<void>;
};

export const isRoot = process.getuid?.() === 0;

/**
 * Takes a folder under `root` for this process. Who runs jobs may go through it and list nothing.
 * @throws Error when somebody else owns `root`.
 */
export async function takeWorkspace(root: string): Promise<Workspace> {
  mkdirSync(root, { recursive: true, mode: 0o711 });
  const { uid } = lstatSync(root);
  if (!lstatSync(root).isDirectory() || uid !== process.getuid?.()) {
    throw new Error(`${root} is no folder of this user. Choose another with SANDBOX_DIR.`);
  }
  await sweep(root);
  const folder = path.join(root, ownName(process.pid, startOf(process.pid) ?? '0'));
  await mkdir(folder, { recursive: true, mode: 0o711 });

  async function makeJob(uploads: Upload[]) {
    const job = path.join(folder, 'jobs', `${process.pid}-${randomBytes(5).toString('hex')}`);
    const into = path.join(job, 'uploads');
    await mkdir(path.join(folder, 'jobs'), { recursive: true, mode: 0o711 });
    await mkdir(job, { mode: 0o700 });
    await mkdir(into, { mode: 0o755 });
    handOver(job);
    try {
      for (const { name, write } of uploads) await write(path.join(into, path.basename(name)));
    } catch (error) {
      await removeJob(job);
      throw error;
    }
    return { folder: job, uploads: into };
  }

  const removeJob = (job: string) => rm(job, { recursive: true, force: true });

  return {
    folder,
    makeJob,
    removeJob,
    close: () => rm(folder, { recursive: true, force: true }),
  };
}

/** What is cleared away after jobs, while others go on. What cannot be is swept at the next start. */
export function createCleaning() {
  const underway = new Set<Promise<void>>();
  return {
    add(clean: () => Promise<void>): void {
      const one = clean()
        .catch(() => {})
        .finally(() => underway.delete(one));
      underway.add(one);
    },
    ended: async () => void (await Promise.all(underway)),
  };
}

/** Of who runs the jobs: a folder that others may not even look into. */
export function handOver(folder: string): void {
  if (isRoot) chownSync(folder, nobody, nobody);
}

/** A file of this machine as who runs the jobs can read it: where a worker that is root keeps it to itself, a copy in `folder`. */
export async function readable(file: string, folder: string): Promise<string> {
  const whole = await realpath(file);
  if (!isRoot || (await isEverybodys(whole))) return file;
  const copy = path.join(folder, path.basename(file));
  await copyFile(whole, copy, constants.COPYFILE_FICLONE);
  await chmod(copy, 0o755);
  return copy;
}

/** Whether all may read it, and go through the folders in which it lies. */
async function isEverybodys(file: string): Promise<boolean> {
  if (!((await stat(file)).mode & 0o004)) return false;
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    if (!((await stat(folder)).mode & 0o001)) return false;
    if (folder === path.dirname(folder)) return true;
  }
}

/** Containers may share the folder, and have pids of their own. Short, for a path of a socket has 107 characters at most. */
function ownName(pid: number, start: string): string {
  const host = createHash('sha256').update(hostname()).digest('hex').slice(0, 6);
  return `${host}_${pid}_${start}`;
}

async function sweep(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    const [, pid, start] = /_(\d+)_(\d+)$/.exec(name) ?? [];
    const isOwn = name === ownName(Number(pid), start ?? '');
    if (isOwn && startOf(Number(pid)) !== start) await rm(path.join(root, name), { recursive: true, force: true });
  }
}
