import { z } from 'zod';
import type { Duration } from '@temporalio/common';
import { msToNumber } from '@temporalio/common/lib/time.js';
import { isBlank, isStorable } from '../workflows/contract/form.ts';

/** The types of fields that every room's schemas are made of. */

/** A text that Postgres can store, of at most `max` characters; with a `min` of 1 one that shows something. */
export function text(min: 0 | 1, max: number) {
  const schema = z.string().max(max).refine(isStorable, unstorable);
  if (min === 0) return schema;
  return schema.refine((value) => !isBlank(value), 'must not be empty').meta({ pattern: '\\S' });
}

/** An http(s) URL that Postgres can store. */
export function url() {
  return z
    .url({ protocol: /^https?$/, error: 'must be an http(s) URL' })
    .max(2_000)
    .refine(isStorable, unstorable);
}

const unstorable = 'must be Unicode text without NUL';

const durationPattern = /^[1-9]\d{0,7}[smhdw]$/;

/** A length of time as a text, such as "90s", "30m", "48h" or "7d"; at most a year. */
export function duration() {
  return z
    .string()
    .refine(
      (value) => durationPattern.test(value) && msToNumber(value as Duration) <= msToNumber('365d'),
      'must be a duration such as "90s", "30m", "48h" or "7d", of at most 365 days',
    )
    .meta({ pattern: durationPattern.source, example: '48h' });
}

/** An id as it stands in a path. */
export const id = z.string().regex(/^[\w-]{1,64}$/);
/** Executions of a step after its first are tasks like `draft.2`. */
export const taskId = z.string().regex(/^[\w.-]{1,64}$/);
export const timestamp = z.string().meta({ format: 'date-time', example: '2026-11-22T09:30:00.000Z' });
