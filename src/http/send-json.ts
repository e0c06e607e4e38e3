import type { Context, TypedResponse } from 'hono';
import type { JSONParsed } from 'hono/utils/types';
import type { JsonText } from '../../db/run-views.ts';
import { breakOff } from './break-off.ts';
import type { AppEnv } from './env.ts';

/** Answers of 200 with JSON, where it is no small object. */

/** Answers 200 with JSON that is written already, most of it by Postgres. */
export function sendJson<T>(c: Context, text: JsonText<T>) {
  const response: unknown = c.body(text, 200, { 'Content-Type': 'application/json' });
  return response as Response & TypedResponse<JSONParsed<T>, 200, 'json'>;
}

/** JSON that may be long, as bytes: a text of megabytes is copied to have its headers before it, and once more for the socket. */
export function sendLongJson<T>(c: Context, value: T) {
  const response: unknown = c.body(Buffer.from(JSON.stringify(value)), 200, { 'Content-Type': 'application/json' });
  return response as Response & TypedResponse<JSONParsed<T>, 200, 'json'>;
}

/**
 * The same for JSON that is too long to be held: it is sent while it is made, part by part, and only as fast as it is read.
 * A failure breaks it off.
 */
export function sendJsonParts(c: Context<AppEnv>, parts: AsyncIterable<string>) {
  async function* bytes() {
    try {
      for await (const part of parts) yield Buffer.from(part);
    } catch (error) {
      breakOff(c, error);
    }
  }
  const headers = { 'Content-Type': 'application/json' };
  const response: unknown = c.body(ReadableStream.from(bytes()), 200, headers);
  return response as Response & TypedResponse<never, 200, 'json'>;
}
