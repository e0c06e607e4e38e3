import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import yauzl, { type Entry } from 'yauzl';

/** Code as it is sent: a ZIP archive of which nothing is believed. Archives within it are files like others. */

/** What a bundle may be, as it is told at the door. */
export const bundleBounds = {
  /** Packed, in bytes. */
  size: 50 * 1024 * 1024,
  /** All of it unpacked, in bytes. */
  unpacked: 200 * 1024 * 1024,
  files: 1_000,
  /** So many times as large as packed, where that is more than a little. */
  ratio: 100,
} as const;

/** Of what is small anything may be made. */
const littleBytes = 1024 * 1024;
/** Of the parts of a name and of all of it, in bytes: as file systems count. */
const longest = { part: 255, name: 1_000 };
const deepest = 20;

/** Why an archive is none that can be used, in words for who sent it. */
export class BundleFault extends Error {
  override readonly name = 'BundleFault';
}

type OnFile = (name: string, content: Readable, isProgram: boolean) => Promise<void>;

/** What is in an archive: how many files, and how many bytes, unpacked. */
export type BundleContents = { files: number; unpacked_bytes: number };

/** Reads all of an archive once, as `unpackZip` would; the files `needed` must be in it. @throws BundleFault */
export async function checkZip(file: string, needed: string[] = []): Promise<BundleContents> {
  const missing = new Set(needed.map((name) => path.posix.normalize(name)));
  const contents = await walk(file, async (name, content) => {
    missing.delete(name);
    for await (const chunk of content) void chunk;
  });
  const [first] = missing;
  if (first !== undefined) throw new BundleFault(`There is no file "${first}" in the archive, and it is what is run.`);
  return contents;
}

/** Unpacks an archive into a folder that is empty. What is there afterwards can be read by everybody. @throws BundleFault */
export function unpackZip(file: string, folder: string): Promise<BundleContents> {
  return walk(file, async (name, content, isProgram) => {
    const place = path.join(folder, name);
    await mkdir(path.dirname(place), { recursive: true, mode: 0o755 });
    // `wx`: it follows no link, and replaces nothing.
    await pipeline(content, createWriteStream(place, { flags: 'wx', mode: isProgram ? 0o755 : 0o644 }));
  });
}

async function walk(file: string, onFile: OnFile): Promise<BundleContents> {
  const zip = await yauzl
    .openPromise(file, { lazyEntries: true, strictFileNames: true, autoClose: false })
    .catch(unreadable);
  const taken = new Map<string, 'file' | 'folder'>();
  const contents: BundleContents = { files: 0, unpacked_bytes: 0 };
  try {
    if (zip.entryCount > bundleBounds.files * 2) throw tooManyFiles();
    for await (const entry of zip.eachEntry()) {
      const kind = kindOf(entry);
      take(taken, entry.fileName, kind);
      if (kind === 'folder') continue;
      contents.files += 1;
      if (contents.files > bundleBounds.files) throw tooManyFiles();
      const content = await zip.openReadStreamPromise(entry);
      const isProgram = ((entry.externalFileAttributes >>> 16) & 0o111) !== 0;
      await onFile(entry.fileName, counted(content, entry, contents), isProgram);
    }
  } catch (error) {
    throw error instanceof BundleFault || isOfDisk(error) ? error : unreadable(error);
  } finally {
    zip.close();
  }
  if (contents.files === 0) throw new BundleFault('There are no files in the archive.');
  return contents;
}

/** What goes through is counted as it comes: what an archive says of its sizes may be a lie. */
function counted(content: Readable, { compressedSize }: Entry, contents: BundleContents): Readable {
  let size = 0;
  const most = Math.max(littleBytes, compressedSize * bundleBounds.ratio);
  content.on('data', (chunk: Buffer) => {
    size += chunk.length;
    contents.unpacked_bytes += chunk.length;
    if (contents.unpacked_bytes > bundleBounds.unpacked) {
      content.destroy(new BundleFault(`Unpacked, the archive has more than ${bundleBounds.unpacked} bytes (200 MiB).`));
    } else if (size > most) {
      const times = `more than ${bundleBounds.ratio} times as large as it is packed`;
      content.destroy(new BundleFault(`A file in the archive is ${times}: it looks like a bomb.`));
    }
  });
  return content.pause();
}

/** @throws BundleFault for what is neither a file nor a folder. */
function kindOf(entry: Entry): 'file' | 'folder' {
  const name = shown(entry.fileName);
  if (entry.isEncrypted()) throw new BundleFault(`${name} is encrypted.`);
  if (!entry.canDecodeFileData()) throw new BundleFault(`${name} is packed in a way that is not known here.`);
  // Of an archive that was made on Unix: links, devices and sockets are none of what code needs.
  const type = (entry.externalFileAttributes >>> 16) & 0o170000;
  if (type !== 0 && type !== 0o100000 && type !== 0o040000) {
    throw new BundleFault(
      `${name} is a ${type === 0o120000 ? 'link' : 'device'}, and only files may be in the archive.`,
    );
  }
  return entry.fileName.endsWith('/') ? 'folder' : 'file';
}

/** Notes a name and all folders above it, whatever their case: systems differ in whether those are the same. */
function take(taken: Map<string, 'file' | 'folder'>, fileName: string, kind: 'file' | 'folder'): void {
  const name = fileName.replace(/\/$/, '').normalize('NFC');
  const parts = name.split('/');
  const isOdd = parts.some(
    (part) => part === '' || part === '.' || part === '..' || Buffer.byteLength(part) > longest.part,
  );
  // yauzl refuses absolute names, backslashes and `..` too; this is what stands where it did not.
  if (
    isOdd ||
    hasControl(name) ||
    name.includes('\\') ||
    Buffer.byteLength(name) > longest.name ||
    parts.length > deepest
  ) {
    throw new BundleFault(`${shown(fileName)} is no name that a file may have.`);
  }
  for (const [index] of parts.entries()) {
    const isWhole = index === parts.length - 1;
    const key = parts
      .slice(0, index + 1)
      .join('/')
      .toLowerCase();
    const now = isWhole ? kind : 'folder';
    const before = taken.get(key);
    if (before && (before === 'file' || now === 'file')) throw new BundleFault(`${shown(fileName)} is there twice.`);
    taken.set(key, now);
  }
}

function hasControl(name: string): boolean {
  return /\p{Cc}/u.test(name);
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 100));
}

function tooManyFiles(): BundleFault {
  return new BundleFault(`There are more than ${bundleBounds.files} files in the archive.`);
}

function isOfDisk(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

function unreadable(error: unknown): never {
  const why = error instanceof Error ? error.message.slice(0, 200) : String(error);
  throw new BundleFault(`This is no ZIP archive that can be read: ${why}`);
}
