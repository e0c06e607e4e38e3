import { getConnInfo } from '@hono/node-server/conninfo';
import type { Context } from 'hono';
import { isWithin } from './client-address.ts';

/** An origin as browsers write it; undefined for what makes none. */
function originFrom(protocol: string, host: string): string | undefined {
  return /^https?$/.test(protocol) ? URL.parse(`${protocol}://${host}`)?.origin : undefined;
}

/**
 * Where clients find this server: `PUBLIC_URL`, when it is set; else where this request was sent to, as the proxy says it in
 * X-Forwarded-Proto and X-Forwarded-Host, when it is a trusted one.
 */
export function publicOrigin(
  c: Context,
  { PUBLIC_URL, TRUSTED_PROXIES }: { PUBLIC_URL?: string; TRUSTED_PROXIES: string[] },
): string {
  if (PUBLIC_URL) return PUBLIC_URL;
  const url = new URL(c.req.url);
  if (!isWithin(getConnInfo(c).remote.address ?? '', TRUSTED_PROXIES)) return url.origin;
  // The last is what the nearest proxy has written.
  const last = (name: string) => c.req.header(name)?.split(',').at(-1)!.trim();
  const protocol = last('x-forwarded-proto') ?? url.protocol.slice(0, -1);
  return originFrom(protocol, last('x-forwarded-host') ?? url.host) ?? url.origin;
}
