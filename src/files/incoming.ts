import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Logger } from 'pino';
import { DomainError } from '../errors.ts';
import { storeFailed, type FileStore } from './store.ts';

/** Of one file, in bytes. */
export const maxFileBytes = 25 * 1024 * 1024;

/** What came in, and lies on this machine until it is put into the store, or discarded. */
export type Incoming = { path: string; size: number; sha256: string };

export function fileTooLarge(): DomainError {
  return new DomainError('FILE_TOO_LARGE', `A file may have ${maxFileBytes} bytes (25 MiB), and this one has more.`);
}

/**
 * Writes what comes, as it comes, to this machine. When it breaks off, or is too large (`FILE_TOO_LARGE` unless `most` says otherwise), or there is no room
 * (`FILES_UNAVAILABLE`), nothing of it stays. The name is one that nobody else has.
 */
export async function receiveFile(
  { files: store, log }: { files: FileStore; log: Logger },
  name: string,
  content: Readable,
  most: { bytes: number; fault: () => DomainError } = { bytes: maxFileBytes, fault: fileTooLarge },
): Promise<Incoming> {
  const place = path.join(store.incoming, name);
  const hash = createHash('sha256');
  let size = 0;
  async function* measured(chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      size += chunk.length;
      if (size > most.bytes) throw most.fault();
      hash.update(chunk);
      yield chunk;
    }
  }
  try {
    await mkdir(store.incoming, { recursive: true, mode: 0o700 });
    // Open before anything can fail: a stream that still opens its file when it is given up makes it after it was discarded.
    const file = await open(place, 'wx', 0o600);
    // `flush`: on the disk, and not only on its way there.
    await pipeline(content, measured, file.createWriteStream({ flush: true }));
  } catch (error) {
    // Where the folder itself is out of reach, so is what might be in it.
    await discardIncoming(place).catch(() => {});
    throw error instanceof DomainError || content.errored ? error : storeFailed(log, error);
  }
  return { path: place, size, sha256: hash.digest('hex') };
}

export function discardIncoming(place: string): Promise<void> {
  return rm(place, { force: true });
}

/** Nothing comes in for longer, in milliseconds. */
const longest = 60 * 60_000;

/** Removes what processes have left here that died. */
export async function discardOldIncoming({ incoming }: FileStore): Promise<void> {
  const names = await readdir(incoming).catch(() => []);
  for (const name of names) {
    const place = path.join(incoming, name);
    const found = await stat(place).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > longest) await discardIncoming(place);
  }
}
