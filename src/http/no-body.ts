import { createMiddleware } from 'hono/factory';
import { HTTPException } from 'hono/http-exception';
import { InvalidInputError } from '../errors.ts';
import { requestObject } from '../fields.ts';
import { hasBody } from './body.ts';
import { faults } from './faults.ts';

const nothing = requestObject({});

/** For operations that take no body; an empty object is none. Who sends more expects something that would not happen. */
export function requireNoBody() {
  return createMiddleware(async function requireNoBody(c, next) {
    const text = hasBody(c) ? await c.req.text() : '';
    const parsed = nothing.safeParse(text.trim() === '' ? {} : parse(text));
    if (!parsed.success) throw new InvalidInputError(faults(parsed.error));
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
