import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { NoSuchFile, type FileStore } from './store.ts';

/** Files in a folder. What comes in lies beside them, so that it gets its place in one step. */
export function createFolderStore(folder: string): FileStore {
  const root = path.resolve(folder);
  const incoming = path.join(root, 'incoming');
  const stored = path.join(root, 'stored');
  const placeOf = (file_id: string) => path.join(stored, file_id);

  return {
    incoming,
    async put(file_id, from) {
      await mkdir(stored, { recursive: true, mode: 0o700 });
      await rename(from, placeOf(file_id));
      await sync(stored);
    },
    async open(file_id) {
      const stream = createReadStream(placeOf(file_id));
      await once(stream, 'open').catch((error: NodeJS.ErrnoException) => {
        throw error.code === 'ENOENT' ? new NoSuchFile(`There is no ${file_id} in the folder.`) : error;
      });
      return Readable.toWeb(stream) as ReadableStream<Uint8Array>;
    },
    remove: (file_id) => rm(placeOf(file_id), { force: true }),
  };
}

/** That a file has its name outlasts a power cut only when its folder is written too. */
async function sync(folder: string): Promise<void> {
  const handle = await open(folder);
  await handle.sync().finally(() => handle.close());
}
