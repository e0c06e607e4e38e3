import { z } from 'zod';
import type { Page } from '../../db/pages.ts';
import { InvalidInputError } from '../errors.ts';
import { gateId, id, text } from '../fields.ts';
import { queryNumber } from './query.ts';

/** What lists take. */
export const limit = queryNumber(z.int().min(1).max(100).default(20));
export const cursor = z.string().max(1_000).optional();
export const sortByTime = z
  .enum(['-created_at', 'created_at'])
  .default('-created_at')
  .meta({ description: 'Newest first, or oldest first.' });

/** A place in a list that is sorted by time and id. */
export type Position = { created_at: string; id: string };

// Postgres knows no year 0.
const time = z.iso.datetime().refine((text) => text >= '0001');
const byTime = z.tuple([time, id]);
/** Where something stands among what is due, and then by when it was opened; null is never due. */
type DuePlace = { due_at: string | null; opened_at: string };
const byDue = z.tuple([z.object({ due_at: time.nullable(), opened_at: time }), gateId]);
const byNumber = z.tuple([z.number(), id]);
const byText = z.tuple([text(0, 200), id]);

/** What clients hand back to get the next page: opaque to them. */
function writeCursor(place: [sortedBy: string | number | DuePlace, id: string]): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

function read<T>(cursor: string, place: z.ZodType<T>): T {
  try {
    return place.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
  } catch {
    throw new InvalidInputError([{ path: ['cursor'], detail: 'is not a cursor of this list' }]);
  }
}

/** @throws a 422 for what is no cursor. */
export function readCursor(cursor: string): Position {
  const [created_at, id] = read(cursor, byTime);
  return { created_at, id };
}

/** As `readCursor`. */
export function readTimeCursor(cursor: string): { value: string; id: string } {
  const { created_at: value, id } = readCursor(cursor);
  return { value, id };
}

/**
 * As `readCursor`, of a list that is sorted by a number and the id.
 * @throws a 422 for what is no cursor, or one of another order.
 */
export function readNumberCursor(cursor: string): { value: number; id: string } {
  const [value, id] = read(cursor, byNumber);
  return { value, id };
}

/**
 * As `readCursor`, of a list that is sorted by a text, such as a name, and the id.
 * @throws a 422 for what is no cursor, or one of another order.
 */
export function readTextCursor(cursor: string): { value: string; id: string } {
  const [value, id] = read(cursor, byText);
  return { value, id };
}

/**
 * As `readCursor`, of a list that is sorted by when things are due.
 * @throws a 422 for what is no cursor, or one of another order.
 */
export function readDueCursor(cursor: string): DuePlace & { id: string } {
  const [place, id] = read(cursor, byDue);
  return { ...place, id };
}

type Asked = { limit: number; cursor?: string | undefined; sort: string };

/**
 * The page that a list is asked for, and one entry more, which says whether there is another. `read` reads the cursor.
 * @throws a 422 for what is no cursor, or one of another order.
 */
export function pageAsked<Value extends string | number>(
  { limit, cursor, sort }: Asked,
  read: (cursor: string) => { value: Value; id: string },
): Page<Value> {
  return { limit: limit + 1, descending: sort.startsWith('-'), after: cursor === undefined ? undefined : read(cursor) };
}

/** As `pageAsked`, of a list that is sorted by a time. */
export function pageByTime(asked: Asked): Page {
  return pageAsked(asked, readTimeCursor);
}

/**
 * The first `limit` of what was found, and the cursor of the next page. One more than `limit` was looked for: it says
 * whether there is one. `sortedBy` is the value that the list is sorted by: its time unless given.
 */
export function pageOf<T extends { created_at: string }>(
  found: T[],
  limit: number,
  idOf: (item: T) => string,
  sortedBy: (item: T) => string | number | DuePlace = ({ created_at }) => created_at,
) {
  const items = found.slice(0, limit);
  const last = items.at(-1);
  const has_more = found.length > limit;
  const next_cursor = has_more && last ? writeCursor([sortedBy(last), idOf(last)]) : null;
  return { items, has_more, next_cursor };
}
