import { Unreadable } from '../extraction/index.ts';
import { NoSuchFile, type FileStore } from './store.ts';

/** All of a file, in a buffer that is its own: the thread that reads it takes it. @throws Unreadable when it is gone. */
export async function readWhole(
  files: FileStore,
  { file_id, size }: { file_id: string; size: number },
): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  let at = 0;
  const stream = await files.open(file_id).catch((error: unknown) => {
    throw error instanceof NoSuchFile ? new Unreadable('Its file was deleted before it was read.') : error;
  });
  for await (const chunk of stream) {
    if (at + chunk.length > size) throw new Unreadable('Its file is larger than it was when it came.');
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes.subarray(0, at);
}
