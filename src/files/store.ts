import type { Logger } from 'pino';
import { DomainError } from '../errors.ts';

/** Where the bytes of files lie, each under its own id: nothing that a user says is in a name there. */
export type FileStore = {
  /** A directory of this machine, in which what comes in is written before it is put. */
  incoming: string;
  /**
   * Keeps the file at this path, whole or not at all, under the id; what was there under it is replaced. What is left at the path is
   * the caller's to discard.
   */
  put: (file_id: string, path: string) => Promise<void>;
  /** The bytes, read as they are asked for; ended by `cancel`. Throws `NoSuchFile` when there are none under the id. */
  open: (file_id: string) => Promise<ReadableStream<Uint8Array>>;
  /** Removes what is there under the id, if anything. */
  remove: (file_id: string) => Promise<void>;
};

/** There are no bytes under the id. */
export class NoSuchFile extends Error {
  override readonly name = 'NoSuchFile';
}

/** What is told when the store fails; why is for the log. */
export function storeFailed(log: Logger, error: unknown): DomainError {
  log.error({ err: error }, 'the store of files does not work');
  const message = 'The store of files cannot be reached, or has no room. Try again.';
  return new DomainError('FILES_UNAVAILABLE', message, { retry_after_seconds: 5 });
}

/** What the store does; throws `FILES_UNAVAILABLE` when it fails. */
export function ofStore<T>(log: Logger, work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    throw storeFailed(log, error);
  });
}
