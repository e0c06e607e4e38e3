import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { InvalidInputError, type Path } from '../errors.ts';
import type { AppEnv } from './env.ts';
import { requireExactNumbers } from './exact-numbers.ts';
import { addressOf } from './limit.ts';
import { HttpError } from './problems.ts';
import { waitInRow, withoutPlace } from './row.ts';
import { createHeavyTurns, createTurns, type Leave } from './turns.ts';

/** What a body must be before anything parses it. */

const mebibyte = 1024 * 1024;
const maxDepth = 32;
/** Each costs as much as many of its bytes, wherever it is looked at. */
const maxValues = 100_000;

/** Whether a body comes, by the headers. Node reads none that they do not announce, and no more than they say. */
export function hasBody(c: Context): boolean {
  return Number(c.req.header('content-length') ?? 0) > 0 || c.req.header('transfer-encoding') !== undefined;
}

/** The next of what comes, until there is so much of it; undefined when there is more. */
async function readUpTo(incoming: IncomingMessage, maxSize: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming.iterator({ destroyOnReturn: false })) {
    size += (chunk as Buffer).length;
    if (size > maxSize) return undefined;
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

/**
 * At most so many MiB. What says that it is longer is refused; what does not say how long it is, is counted when it is read, which is
 * once it is known whose it is: nobody has us hold what they send without a key.
 */
export function limitBody(mebibytes: number) {
  return createMiddleware<AppEnv>(async function limitBody(c, next) {
    if (Number(c.req.header('content-length') ?? 0) > mebibytes * mebibyte) throw tooLarge(mebibytes);
    c.set('mostMebibytes', mebibytes);
    await next();
  });
}

function tooLarge(mebibytes: number): HttpError {
  return new HttpError('BODY_TOO_LARGE', `The body is larger than ${mebibytes} MiB.`);
}

/** Reads the body, which is no more than its path takes, as long as its client sends it. The router would copy it, and not count. */
export async function countedBody(c: Context<AppEnv>): Promise<Buffer> {
  const { mostMebibytes = 1 } = c.var;
  const body = await withoutPlace(c, Infinity, () => readUpTo(c.env.incoming, mostMebibytes * mebibyte));
  if (!body) throw tooLarge(mostMebibytes);
  return body;
}

/** What of a refused body is read all the same, and for how long, in milliseconds. */
const mostDiscarded = 16 * mebibyte;
const longestDiscard = 5_000;

/**
 * Reads what is left of a body before it is answered, up to a bound: a client that is still sending when the connection
 * closes would lose the answer. Beyond the bound the client is told that the connection closes, so that its next request
 * is not on it.
 */
export function readRest() {
  return createMiddleware<AppEnv>(async function readRest(c, next) {
    await next();
    if (!hasBody(c)) return;
    c.env.place?.leave();
    if (!(await isDiscarded(c.env.incoming))) c.res.headers.set('Connection', 'close');
  });
}

/** Whether the body has ended within the bounds. */
function isDiscarded(incoming: IncomingMessage): Promise<boolean> {
  if (incoming.readableEnded || incoming.destroyed) return Promise.resolve(incoming.readableEnded);
  return new Promise((resolve) => {
    let size = 0;
    const end = () => {
      clearTimeout(late);
      resolve(incoming.readableEnded);
    };
    const late = setTimeout(end, longestDiscard);
    incoming.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > mostDiscarded) end();
    });
    incoming.once('end', end).once('close', end).resume();
  });
}

/** JSON in UTF-8, as it is; a body of another kind would pass validation as an empty object, or be read as what it is not. */
export function requireJson() {
  return createMiddleware<AppEnv>(async function requireJson(c, next) {
    if (!hasBody(c)) return next();
    const type = c.req.header('content-type') ?? '';
    if (!/^application\/([\w.-]+\+)?json\b/i.test(type)) {
      throw unsupported('Send the body as JSON, with the header Content-Type: application/json.');
    }
    const charset = /;\s*charset="?([^\s;"]*)/i.exec(type)?.[1] || 'utf-8';
    if (!/^(utf-?8|us-ascii)$/i.test(charset)) throw unsupported(`Send the body in UTF-8, not in ${charset}.`);
    const encoding = c.req.header('content-encoding') ?? 'identity';
    if (!/^(identity)?$/i.test(encoding)) {
      throw unsupported(`Send the body as it is, not encoded as ${encoding}.`, { accept_encoding: 'identity' });
    }
    await next();
  });
}

function unsupported(detail: string, extra = {}): HttpError {
  return new HttpError('UNSUPPORTED_MEDIA_TYPE', detail, extra);
}

/** What is longer is read and worked on by turns, of each account, or of each address where there is no key yet. In bytes. */
const short = 64 * 1024;
const reading = createTurns(8);
/** It is some five times as long while it is worked on: its bytes, its text, its values, and what is made of them. */
const atWork = createHeavyTurns();

/**
 * Reads the body: UTF-8, at most 32 levels and 100,000 values, no number that would be rounded. What recurses over it, now or later,
 * meets no bottomless one. Of it the text is kept. Of an account one long body is worked on at a time, until it is answered
 * or forgotten (`forgetBody`); who waits longer than 20 seconds for that is refused with 429.
 */
export function readBody() {
  return createMiddleware<AppEnv>(async function readBody(c, next) {
    if (!hasBody(c)) return next();
    // An operation of a batch has a body of its own, and the batch its bound.
    if (c.env.isInBatch) keepText(c, await c.req.arrayBuffer());
    else if (isSaidToBeShort(c)) keepText(c, await countedBody(c));
    else c.set('leaveBody', await readInTurn(c));
    try {
      await next();
    } finally {
      c.var.leaveBody?.();
    }
  });
}

function isSaidToBeShort(c: Context): boolean {
  const isSaid = c.req.header('transfer-encoding') === undefined;
  return isSaid && Number(c.req.header('content-length')) <= short;
}

/** A client takes as long as it likes to send, so several are heard at once. Returns the end of the turn, where the body is long. */
async function readInTurn(c: Context<AppEnv>): Promise<Leave | undefined> {
  const key = c.get('principal')?.account_id ?? addressOf(c);
  const heard = await waitInRow(c, reading, key);
  try {
    const bytes = await countedBody(c);
    const leave = bytes.length > short ? await waitInRow(c, atWork, key) : undefined;
    // What is answered in time may go on, as where the database is frozen, and holds up nobody.
    if (leave) c.var.deadline.late.catch(leave);
    try {
      keepText(c, bytes);
    } catch (error) {
      leave?.();
      throw error;
    }
    return leave;
  } finally {
    heard();
  }
}

function keepText(c: Context, bytes: Buffer | ArrayBuffer): void {
  keepAlone(c, { text: Promise.resolve(textOf(bytes)) });
}

function textOf(bytes: Buffer | ArrayBuffer): string {
  // A decoder puts a replacement in the place of what it cannot read, and the text would be kept damaged.
  if (!isUtf8(bytes)) throw new InvalidInputError([{ path: [], detail: 'is not UTF-8' }]);
  const text = new TextDecoder().decode(bytes);
  requireReadable(text, []);
  return text;
}

/** Throws `InvalidInputError` for JSON, at this place of a request, that `readBody` does not take. */
export function requireReadable(json: string, path: Path): void {
  const detail = whyTooMuch(json);
  if (detail !== undefined) throw new InvalidInputError([{ path, detail }]);
  requireExactNumbers(json, path);
}

/**
 * For an answer that is kept open: what was sent is not held as long. An account has 200 of them, and each may have come with a
 * body of a mebibyte, which its text and its values are once more. The next of its account has its turn.
 */
export function forgetBody(c: Context<AppEnv>): void {
  c.var.leaveBody?.();
  keepAlone(c, {});
  c.req.addValidatedData('json', {});
}

function keepAlone(c: Context, body: { text?: Promise<string> }): void {
  c.req.bodyCache = {};
  Object.assign(c.req.bodyCache, body);
}

/** Counts what is outside of strings. Of text that is no JSON it says nothing of use; the parser refuses that. */
function whyTooMuch(json: string): string | undefined {
  let depth = 0;
  let values = 1;
  let isString = false;
  let isEmpty = false;
  for (let index = 0; index < json.length; index += 1) {
    const character = json[index];
    const isOpening = !isString && (character === '[' || character === '{');
    if (character === '"') isString = !isString;
    else if (isString) index += character === '\\' ? 1 : 0;
    else if (isOpening) depth += 1;
    else if (character === ']' || character === '}') {
      depth -= 1;
      values -= isEmpty ? 1 : 0;
    }
    // What opens has one value, unless it closes at once, and one more after each comma.
    if (isOpening || (!isString && character === ',')) values += 1;
    if (character! > ' ') isEmpty = isOpening;
    if (depth > maxDepth) return `must not nest deeper than ${maxDepth} levels`;
    if (values > maxValues) return `must have at most ${maxValues} values`;
  }
  return undefined;
}
