import type { Config } from '../config.ts';
import { createFolderStore } from './folder.ts';
import { createS3Store } from './s3.ts';
import type { FileStore } from './store.ts';

export type StoreSettings = Pick<Config, 'FILES_DIR' | 'filesS3'>;

/** A bucket when the settings name one, else a folder, which all processes must share. */
export function createFileStore({ FILES_DIR, filesS3 }: StoreSettings): FileStore {
  return filesS3 ? createS3Store(filesS3) : createFolderStore(FILES_DIR);
}
