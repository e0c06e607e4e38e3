import type { Context } from 'hono';

/** Where OAuth's own requests go: these speak its forms, pages and errors, and need no API key. */
export const paths = {
  /** RFC 8414. */
  metadata: '/.well-known/oauth-authorization-server',
  authorize: '/v1/oauth/authorize',
  consent: '/v1/oauth/consent',
  token: '/v1/oauth/token',
  revoke: '/v1/oauth/revoke',
};

const own = Object.values(paths);

export function isOAuth(c: Context): boolean {
  return own.some((path) => c.req.path === path || c.req.path.startsWith(`${path}/`));
}
