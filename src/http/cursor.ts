import { z } from 'zod';
import { InvalidInputError } from '../errors.ts';
import { id } from '../fields.ts';
import { queryNumber } from './query.ts';

/** What lists take. */
export const limit = queryNumber(z.int().min(1).max(100).default(20));
export const cursor = z.string().max(300).optional();

/** A place in a list that is sorted by time and id, newest first. */
export type Position = { created_at: string; id: string };

// Postgres knows no year 0.
const position = z.tuple([z.iso.datetime().refine((text) => text >= '0001'), id]);

/** What clients hand back to get the next page: opaque to them. */
export function writeCursor({ created_at, id }: Position): string {
  return Buffer.from(JSON.stringify([created_at, id])).toString('base64url');
}

/** @throws a 422 for what is no cursor. */
export function readCursor(cursor: string): Position {
  try {
    const [created_at, id] = position.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
    return { created_at, id };
  } catch {
    throw new InvalidInputError([{ path: ['cursor'], detail: 'is not a cursor of this list' }]);
  }
}
