import { randomBytes } from 'node:crypto';
import { createWriteStream, renameSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { FileDeps } from '../files/keep.ts';
import { openBundle } from './bundles.ts';
import { unpackZip } from './zip.ts';

/** Bundles as they are unpacked on the machine of a worker, for the jobs that run them. */

type Unpacked = { folder: Promise<string>; bytes: number; uses: number };

/** @param handOver gives a folder to who runs the jobs. */
export function createBundleCache(
  { files }: Pick<FileDeps, 'files'>,
  { root, most_bytes, handOver }: { root: string; most_bytes: number; handOver: (folder: string) => void },
) {
  /** In the order of their last use. */
  const known = new Map<string, Unpacked>();

  async function unpack(code_hash: string, entry: Unpacked): Promise<string> {
    await mkdir(root, { recursive: true, mode: 0o711 });
    const archive = path.join(root, `${code_hash}.zip`);
    const draft = path.join(root, `${code_hash}.draft`);
    const folder = path.join(root, code_hash);
    try {
      await rm(draft, { recursive: true, force: true });
      const bytes = Readable.fromWeb(
        (await openBundle({ files }, code_hash)) as Parameters<typeof Readable.fromWeb>[0],
      );
      await pipeline(bytes, createWriteStream(archive, { mode: 0o600 }));
      await mkdir(draft, { mode: 0o755 });
      entry.bytes = (await unpackZip(archive, draft)).unpacked_bytes;
      // One that could not be evicted.
      await rm(folder, { recursive: true, force: true });
      await rename(draft, folder);
      handOver(folder);
      return folder;
    } finally {
      await rm(archive, { force: true });
    }
  }

  function take(code_hash: string): Unpacked {
    const before = known.get(code_hash);
    if (before) {
      known.delete(code_hash);
      known.set(code_hash, before);
      return before;
    }
    const entry: Unpacked = { folder: Promise.resolve(''), bytes: 0, uses: 0 };
    entry.folder = unpack(code_hash, entry);
    entry.folder.catch(() => known.delete(code_hash));
    known.set(code_hash, entry);
    return entry;
  }

  /**
   * Those that nobody uses, the longest unused first, until what is left has room. Nobody waits for it, and what cannot be deleted is
   * swept at the next start.
   */
  function evict(): void {
    let all = [...known.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    for (const [code_hash, { bytes, uses }] of known) {
      if (all <= most_bytes) return;
      if (uses > 0) continue;
      known.delete(code_hash);
      all -= bytes;
      // Out of the way of whoever unpacks the same anew.
      const gone = path.join(root, `${code_hash}.${randomBytes(4).toString('hex')}.gone`);
      try {
        renameSync(path.join(root, code_hash), gone);
      } catch {
        continue;
      }
      rm(gone, { recursive: true, force: true }).catch(() => {});
    }
  }

  /** Does something with a bundle that is unpacked, and stays so meanwhile. @throws NoSuchFile, BundleFault */
  async function withBundle<T>(code_hash: string, use: (folder: string) => Promise<T>): Promise<T> {
    const entry = take(code_hash);
    entry.uses += 1;
    try {
      return await use(await entry.folder);
    } finally {
      entry.uses -= 1;
      evict();
    }
  }

  return { withBundle };
}

export type BundleCache = ReturnType<typeof createBundleCache>;
