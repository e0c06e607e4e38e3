import type { Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { createMiddleware } from 'hono/factory';
import { InvalidInputError } from '../errors.ts';
import { besides } from './deadline.ts';
import { HttpError } from './problems.ts';

/** What a body must be before anything parses it. */

const maxDepth = 32;

/** Whether a body comes, by the headers. Node reads none that they do not announce, and no more than they say. */
export function hasBody(c: Context): boolean {
  return Number(c.req.header('content-length') ?? 0) > 0 || c.req.header('transfer-encoding') !== undefined;
}

/** At most so many MiB, also when it does not say how long it is. */
export function limitBody(mebibytes: number) {
  const maxSize = mebibytes * 1024 * 1024;
  function refuse(): never {
    throw new HttpError('BODY_TOO_LARGE', `The body is larger than ${mebibytes} MiB.`);
  }
  const count = bodyLimit({ maxSize, onError: refuse });
  return createMiddleware(async function limitBody(c, next) {
    // Counting makes a web stream of the request, which is slow: only for a body that does not say how long it is.
    if (c.req.header('transfer-encoding') !== undefined) await besides(c, Infinity, () => count(c, async () => {}));
    else if (Number(c.req.header('content-length') ?? 0) > maxSize) refuse();
    await next();
  });
}

/** JSON; a body of another kind would pass validation as an empty object. */
export function requireJson() {
  return createMiddleware(async function requireJson(c, next) {
    if (hasBody(c) && !/^application\/([\w.-]+\+)?json\b/i.test(c.req.header('content-type') ?? '')) {
      throw new HttpError(
        'UNSUPPORTED_MEDIA_TYPE',
        'Send the body as JSON, with the header Content-Type: application/json.',
      );
    }
    await next();
  });
}

/** Reads the body, at most 32 levels: what recurses over it, now or later, meets no bottomless one. */
export function limitDepth() {
  return createMiddleware(async function limitDepth(c, next) {
    if (hasBody(c) && nestsDeeper(await besides(c, Infinity, () => c.req.text()), maxDepth)) {
      throw new InvalidInputError([{ path: [], detail: `must not nest deeper than ${maxDepth} levels` }]);
    }
    await next();
  });
}

/** Counts the brackets outside of strings. Of text that is no JSON it says nothing of use; the parser refuses that. */
function nestsDeeper(json: string, levels: number): boolean {
  let depth = 0;
  let isString = false;
  for (let index = 0; index < json.length; index += 1) {
    const character = json[index];
    if (character === '"') isString = !isString;
    else if (isString) index += character === '\\' ? 1 : 0;
    else if (character === '[' || character === '{') depth += 1;
    else if (character === ']' || character === '}') depth -= 1;
    if (depth > levels) return true;
  }
  return false;
}
