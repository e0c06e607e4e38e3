import { createMiddleware } from 'hono/factory';

/** Who may keep an answer (https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2). What an answer says of itself stands. */

/** Nobody: it is an account's, may hold a secret that is shown once, and may be another the next moment. */
export function keepNothing() {
  return cacheControl('no-store');
}

/** Everybody, for so long, what is the same for all until the next release; failures are not kept. */
export function keep(seconds: number) {
  return cacheControl(`public, max-age=${seconds}`, (status) => status < 400);
}

function cacheControl(value: string, isMeant: (status: number) => boolean = () => true) {
  return createMiddleware(async function cacheControl(c, next) {
    await next();
    if (isMeant(c.res.status) && !c.res.headers.has('cache-control')) c.res.headers.set('Cache-Control', value);
  });
}
