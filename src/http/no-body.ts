import { createMiddleware } from 'hono/factory';
import { HTTPException } from 'hono/http-exception';
import { InvalidInputError } from '../errors.ts';
import { requestObject } from '../fields.ts';
import { hasBody } from './body.ts';
import { faults } from './faults.ts';

const nothing = requestObject({});

/**
 * For operations that take no body; an empty object is none. Who sends more expects something that would not happen: of what is
 * one of these `parameters`, it is said where it goes.
 */
export function requireNoBody(parameters: string[]) {
  return createMiddleware(async function requireNoBody(c, next) {
    const text = hasBody(c) ? await c.req.text() : '';
    const parsed = nothing.safeParse(text.trim() === '' ? {} : parse(text));
    if (parsed.success) return next();
    const found = faults(parsed.error).map(({ path, detail }) => {
      const name = String(path[0]);
      return { path, detail: parameters.includes(name) ? `goes into the query: \`?${name}=…\`` : detail };
    });
    throw new InvalidInputError(found);
  });
}

/** For operations whose body may be left out: none is an empty object, also where a client says that JSON comes. */
export function takeNoBody() {
  return createMiddleware(async function takeNoBody(c, next) {
    // Without a type it is none anyway, and a text would be taken for one.
    const isTyped = c.req.header('content-type') !== undefined;
    if (isTyped && !hasBody(c))
      Object.assign(c.req.bodyCache, { text: Promise.resolve('{}'), json: Promise.resolve({}) });
    await next();
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // As the router says it of bodies that are taken.
    throw new HTTPException(400);
  }
}
