import { linkSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { isAlive, processIdentity, readPidFile } from './processes.ts';
import type { ProcessRecord } from './processes.ts';

interface LockRecord extends ProcessRecord {
  url: string;
}

/**
 * Takes the data directory for this process, until `release` or its death.
 * @param file where the lock stands; @param url what the holder serves, told to whoever comes second
 * @throws "Orchflow is already running here (pid, url)" while another process holds it
 */
export function takeLock(file: string, url: string): { release(): void } {
  const mine: LockRecord = { pid: process.pid, identity: processIdentity(process.pid) ?? '', url };
  const draft = `${file}.${process.pid}`;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(draft, JSON.stringify(mine));
  try {
    // A hard link appears whole or fails, so nobody ever reads half a lock.
    while (!tryLink(draft, file)) removeStale(file);
  } finally {
    rmSync(draft, { force: true });
  }
  return {
    release() {
      if (readPidFile(file)?.identity === mine.identity) rmSync(file, { force: true });
    },
  };
}

/** Removes the lock of a dead process. Whoever looks at the same moment may have replaced it: then theirs is put back. */
function removeStale(file: string) {
  refuseIfHeld(file);
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    refuseIfHeld(aside);
  } catch (error) {
    tryLink(aside, file);
    throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

function refuseIfHeld(file: string) {
  const holder = readPidFile(file) as LockRecord | undefined;
  if (holder && isAlive(holder)) {
    throw new Error(`Orchflow is already running here (pid ${holder.pid}, ${holder.url})`);
  }
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
