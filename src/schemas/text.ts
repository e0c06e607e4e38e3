import { z } from '@hono/zod-openapi';

/** A text that Postgres can store, of `min` to `max` characters, not counting the space around it. */
export function text(min: number, max: number) {
  return z
    .string()
    .max(max)
    .refine(
      (value) => value.trim().length >= min,
      min === 1 ? 'must not be empty' : `must have at least ${min} characters`,
    )
    .refine(isStorable, unstorable);
}

/** An http(s) URL that Postgres can store. */
export function url() {
  return z
    .url({ protocol: /^https?$/, error: 'must be an http(s) URL' })
    .max(2_000)
    .refine(isStorable, unstorable);
}

function isStorable(value: string): boolean {
  return value.isWellFormed() && !value.includes('\u0000');
}

const unstorable = 'must be Unicode text without NUL';

/** An id as it stands in a path. */
export const id = z.string().regex(/^[\w-]{1,64}$/);
export const timestamp = z.string().openapi({ format: 'date-time', example: '2026-11-22T09:30:00.000Z' });
