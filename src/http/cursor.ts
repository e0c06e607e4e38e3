import { z } from 'zod';
import { InvalidInputError } from '../errors.ts';
import { id } from '../fields.ts';
import { queryNumber } from './query.ts';

/** What lists take. */
export const limit = queryNumber(z.int().min(1).max(100).default(20));
export const cursor = z.string().max(300).optional();

/** A place in a list that is sorted by time and id. */
export type Position = { created_at: string; id: string };

// Postgres knows no year 0.
const position = z.tuple([z.iso.datetime().refine((text) => text >= '0001'), id]);

/** What clients hand back to get the next page: opaque to them. */
function writeCursor({ created_at, id }: Position): string {
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

/**
 * The first `limit` of what was found, and the cursor of the next page. One more than `limit` was looked for: it says
 * whether there is one.
 */
export function pageOf<T extends { created_at: string }>(found: T[], limit: number, idOf: (item: T) => string) {
  const items = found.slice(0, limit);
  const last = items.at(-1);
  const has_more = found.length > limit;
  const next_cursor = has_more && last ? writeCursor({ created_at: last.created_at, id: idOf(last) }) : null;
  return { items, has_more, next_cursor };
}
