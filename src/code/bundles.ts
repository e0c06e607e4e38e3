import type { Readable } from 'node:stream';
import { finishBundle, forgetBundle, forgetUnusedBundle, insertBundle } from '../../db/bundles.ts';
import { DomainError } from '../errors.ts';
import { discardIncoming, receiveFile } from '../files/incoming.ts';
import type { FileDeps } from '../files/keep.ts';
import { newId } from '../ids.ts';
import { ofStore } from '../files/store.ts';
import { BundleFault, bundleBounds, checkZip } from './zip.ts';

/**
 * Code that people send, kept in the file store under the SHA-256 of its archive. It is nobody's: who knows the hash had the code.
 * The row is there first and goes last, as with files.
 */

export type Bundle = { code_hash: string; bundle_size_bytes: number; files: number; kept_at: string };

/** What an archive must be: it has these files, and `admit` does not throw. */
type Wanted = {
  needed: string[];
  admit: (code: Pick<Bundle, 'code_hash' | 'bundle_size_bytes'>) => Promise<void>;
};

/** Its name in the store. */
function placeOfBundle(code_hash: string): string {
  return `bundle_${code_hash}`;
}

/**
 * Keeps an archive that comes in, once it is found to be one that can be unpacked, and is what is wanted. Nothing of it stays when it is not. It is kept
 * for an hour; longer while a version or a run needs it.
 * @throws DomainError `BUNDLE_TOO_LARGE` and `BUNDLE_INVALID`, whose words say what is wrong, and `FILES_UNAVAILABLE`.
 */
export async function keepBundle(
  deps: FileDeps,
  content: Readable,
  { needed, admit }: Wanted = { needed: [], admit: async () => {} },
): Promise<Bundle> {
  const { db, files, log } = deps;
  const most = { bytes: bundleBounds.size, fault: bundleTooLarge };
  const incoming = await receiveFile(deps, newId('file'), content, most);
  try {
    const { files: count, unpacked_bytes } = await checkZip(incoming.path, needed).catch((error: unknown) => {
      throw error instanceof BundleFault ? new DomainError('BUNDLE_INVALID', error.message) : error;
    });
    const { sha256: code_hash, size: bundle_size_bytes } = incoming;
    await admit({ code_hash, bundle_size_bytes });
    await insertBundle(db, { code_hash, bundle_size_bytes, unpacked_bytes, files: count });
    await ofStore(log, files.put(placeOfBundle(code_hash), incoming.path));
    const kept_at = await finishBundle(db, code_hash);
    return { code_hash, bundle_size_bytes, files: count, kept_at };
  } finally {
    await discardIncoming(incoming.path);
  }
}

function bundleTooLarge(): DomainError {
  return new DomainError(
    'BUNDLE_TOO_LARGE',
    `An archive may have ${bundleBounds.size} bytes (50 MiB), and this one has more.`,
  );
}

/** The bytes of a bundle. @throws NoSuchFile, and what the store throws. */
export function openBundle({ files }: Pick<FileDeps, 'files'>, code_hash: string): Promise<ReadableStream<Uint8Array>> {
  return files.open(placeOfBundle(code_hash));
}

/** Removes again what was kept, unless a version or a run needs it, or somebody else has kept it since. */
export async function removeBundle({ db, files, log }: FileDeps, bundle: Bundle): Promise<void> {
  const removed = forgetBundle(db, bundle, (code_hash) => files.remove(placeOfBundle(code_hash)));
  await removed.catch((err: unknown) => log.warn({ err }, 'a bundle is not cleared away yet'));
}

/** Removes from the store what no version of an agent has, and no run needs that has not ended. */
export async function removeUnusedBundles(
  { db, files }: Pick<FileDeps, 'db' | 'files'>,
  signal: AbortSignal,
): Promise<void> {
  const remove = (code_hash: string) => files.remove(placeOfBundle(code_hash));
  while (!signal.aborted && (await forgetUnusedBundle(db, remove)));
}
