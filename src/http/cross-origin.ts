import { cors } from 'hono/cors';
import { createMiddleware } from 'hono/factory';

/** Beside those that every script may read. */
const exposedHeaders = [
  'Allow',
  'Deprecation',
  'ETag',
  'Idempotency-Replayed',
  'Link',
  'Location',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'Run-Id',
  'Server-Timing',
  'WWW-Authenticate',
  'X-RateLimit-Limit',
  'X-RateLimit-Remaining',
  'X-RateLimit-Reset',
  'X-Request-Id',
];

/**
 * Lets scripts of these origins call and read the API from a browser (https://fetch.spec.whatwg.org/#http-cors-protocol);
 * `*` is all of them. A request needs its key in a header, so no cookie lets anybody in, and any header may be sent.
 */
export function allowOrigins(origins: string[]) {
  const origin = origins.includes('*') ? '*' : origins;
  const allow = cors({
    origin,
    allowMethods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposeHeaders: exposedHeaders,
    maxAge: 600,
  });
  return createMiddleware(async function allowOrigins(c, next) {
    const isPlainOptions = c.req.method === 'OPTIONS' && c.req.header('access-control-request-method') === undefined;
    if (!origins.length || isPlainOptions) return next();
    return allow(c, next);
  });
}
