import { accessSync, constants } from 'node:fs';
import path from 'node:path';

/** @throws Error when there is no such program in any of these folders, which are separated as in PATH. */
export function findIn(places: string | undefined, name: string): string {
  for (const folder of (places ?? '').split(path.delimiter).filter((folder) => path.isAbsolute(folder))) {
    try {
      accessSync(path.join(folder, name), constants.X_OK);
      return path.join(folder, name);
    } catch {
      // It may be in another.
    }
  }
  throw new Error(`${name} is not installed`);
}
