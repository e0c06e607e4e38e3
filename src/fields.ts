import { z } from 'zod';
import type { Duration } from '@temporalio/common';
import { msToNumber } from '@temporalio/common/lib/time.js';
import { isBlank, isStorable, unstorable } from '../workflows/contract/form.ts';
import { isHeaderValue } from './fetch/index.ts';

/** The types of fields that every room's schemas are made of, and the words in which they refuse. */

/**
 * An object of a request. Null for a field is the same as no such field, except where the field takes null for a value.
 * Other fields than these are refused.
 */
export function requestObject<S extends z.core.$ZodLooseShape>(shape: S) {
  return withoutNulls(z.strictObject(shape));
}

/** Takes what has null for fields that cannot be null as if it did not have them. */
export function withoutNulls<T extends z.ZodObject>(schema: T) {
  const fields = Object.entries(schema.shape as Record<string, z.ZodType>);
  const droppable = new Set(fields.filter(([, field]) => !field.safeParse(null).success).map(([name]) => name));
  return z.preprocess((given) => {
    if (typeof given !== 'object' || given === null || Array.isArray(given)) return given;
    return Object.fromEntries(Object.entries(given).filter(([name, value]) => value !== null || !droppable.has(name)));
  }, schema);
}

/** A field that need not be given, and is null then. */
export function orNull<T extends z.ZodType>(schema: T) {
  return schema.optional().transform((value) => value ?? null);
}

/** A text that Postgres can store, of at most `max` characters; with a `min` of 1 one that shows something. */
export function text(min: 0 | 1, max: number) {
  const schema = z.string().max(max).refine(isStorable, unstorable);
  if (min === 0) return schema;
  return schema.refine((value) => !isBlank(value), 'must not be empty').meta({ minLength: 1 });
}

/** A text of one line, as names are. */
export function line(max: number) {
  return text(1, max).refine((value) => !/\p{Cc}/u.test(value), 'must be one line, without control characters');
}

/**
 * An object with at most `most` members, under names of its own. They are counted before any is looked at, because that takes long
 * of those that a body has room for.
 */
export function members<V extends z.ZodType>(name: z.ZodType<string, string>, value: V, most: number) {
  return z.preprocess(
    (given, context) => {
      if (typeof given !== 'object' || given === null) return given;
      const refuse = (message: string, path: string[] = []) => {
        context.addIssue({ code: 'custom', message, path });
        return z.NEVER;
      };
      if (Object.keys(given).length > most) return refuse(`must have at most ${most} members`);
      // It is a member of what JSON.parse makes, and of no copy.
      return Object.hasOwn(given, '__proto__') ? refuse('is no name', ['__proto__']) : given;
    },
    z.record(name, value),
  );
}

/** Any JSON value that Postgres can store, at all depths. */
export function json() {
  return z.unknown().superRefine((value, context) => {
    for (const { path, message } of unstorablePlaces(value)) context.addIssue({ code: 'custom', path, message });
  });
}

type Place = { path: PropertyKey[]; message: string };

const nowhere: Place[] = [];

/** The ways to them are made only where there are any: a value may have half a million of others. */
function unstorablePlaces(value: unknown): Place[] {
  if (typeof value === 'string') return isStorable(value) ? nowhere : [{ path: [], message: unstorable }];
  // JSON has numbers that are read as infinite, and these would be written as null.
  if (typeof value === 'number')
    return Number.isFinite(value) ? nowhere : [{ path: [], message: 'must be a finite number' }];
  if (typeof value !== 'object' || value === null) return nowhere;
  const found: Place[] = [];
  for (const name of Object.keys(value)) {
    const step = Array.isArray(value) ? Number(name) : name;
    const inner = (value as Record<string, unknown>)[name];
    const places = isStorable(name) ? unstorablePlaces(inner) : [{ path: [], message: unstorable }];
    for (const { path, message } of places) found.push({ path: [step, ...path], message });
  }
  return found;
}

/** An http(s) URL that Postgres can store, and that may be called by its form. */
export function url() {
  return z
    .url({ protocol: /^https?$/, error: (issue) => wordsOfMissing(issue) ?? 'must be an http(s) URL' })
    .max(2_000)
    .refine(isStorable, unstorable)
    .refine(
      (value) => !URL.parse(value)?.username && !URL.parse(value)?.password,
      'must not carry a user name or password',
    )
    .refine((value) => !URL.parse(value)?.hash, 'must not have a fragment (#…)');
}

/** The value of an HTTP header, without the white space around it, as keys come that are pasted with their line break. */
export function headerValue(max: number) {
  return z.string().trim().max(max).refine(isHeaderValue, 'must be printable ASCII, in one line');
}

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
export const id = z.string().regex(/^[\w-]{1,64}$/, 'is not an id');
/** Executions of a step after its first are tasks like `draft.2`. */
export const taskId = z.string().regex(/^[\w.-]{1,64}$/, 'is not an id');
/** It has the id of its task in it. */
export const gateId = z.string().regex(/^[\w.-]{1,200}$/, 'is not an id');
/** As Postgres takes it, which knows no year 0 and not all offsets. */
export const moment = z.iso
  .datetime({ offset: true, error: 'must be a time such as "2026-11-22T09:30:00Z"' })
  .transform((value) => new Date(value).toISOString())
  .refine((value) => value >= '0001' && value < '9999', 'must be in the years 1 to 9998')
  .meta({ format: 'date-time', example: '2026-11-22T09:30:00Z' });

export const timestamp = z.string().meta({ format: 'date-time', example: '2026-11-22T09:30:00.000Z' });

/**
 * What is wrong, for who reads it at the field: where a schema has no words of its own, these. They stand in zod's
 * configuration, which is one for the process, because the router's validation takes no other; as its `customError`, since a library
 * that loads zod once more sets its `localeError`.
 */
z.config({ customError: words });

function words(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return wordsOfMissing(issue) ?? `must be ${types[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return wordsOfMissing(issue) ?? oneOf(issue.values);
    case 'invalid_union': {
      const { discriminator, input } = issue;
      const options = (issue.options ?? []) as unknown[];
      const kind = discriminator === undefined ? input : (input as Record<string, unknown>)[discriminator];
      return wordsOfMissing({ input: kind }) ?? (options.length > 0 ? oneOf(options) : 'is not valid');
    }
    case 'too_big':
      return `must be ${issue.inclusive ? 'at most' : 'less than'} ${measure(issue.origin, issue.maximum)}`;
    case 'too_small':
      return `must be ${issue.inclusive ? 'at least' : 'more than'} ${measure(issue.origin, issue.minimum)}`;
    case 'invalid_format':
      return issue.format === 'email' ? 'must be an e-mail address' : `must match ${issue.pattern ?? issue.format}`;
    default:
      return 'is not valid';
  }
}

function wordsOfMissing({ input }: { input?: unknown }): string | undefined {
  return input === undefined ? 'is required' : undefined;
}

const types: Record<string, string> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

function oneOf(values: readonly unknown[]): string {
  return values.length === 1 ? `must be ${String(values[0])}` : `must be one of ${values.join(', ')}`;
}

function measure(origin: string, count: number | bigint): string {
  const unit = { string: ' character', array: ' item' }[origin];
  return unit === undefined ? String(count) : `${count}${unit}${count === 1 ? '' : 's'}`;
}
