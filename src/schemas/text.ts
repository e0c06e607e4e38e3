import { z } from '@hono/zod-openapi';

/** A text that Postgres can store, of `min` to `max` characters, not counting the space around it. */
export function text(min: number, max: number) {
  return z
    .string()
    .max(max)
    .refine((value) => value.trim().length >= min, min === 1 ? 'must not be empty' : `must have at least ${min} characters`)
    .refine((value) => value.isWellFormed() && !value.includes('\u0000'), 'must be Unicode text without NUL');
}

/** An id as it stands in a path. */
export const id = z.string().regex(/^[\w-]{1,64}$/);
export const timestamp = z.string().openapi({ format: 'date-time', example: '2026-11-22T09:30:00.000Z' });
