import { getConnInfo } from '@hono/node-server/conninfo';
import type { Context } from 'hono';
import ipaddr from 'ipaddr.js';

/**
 * Whom a request comes from: the peer, or, when that is a trusted proxy, the last address in X-Forwarded-For that is
 * none. Whatever stands before it was written by the client itself. An IPv6 client is its /64 network: it has all of it.
 */
export function clientAddress(c: Context, trustedProxies: string[]): string {
  const forwarded = (c.req.header('x-forwarded-for') ?? '').split(',').map((part) => part.trim());
  let client = getConnInfo(c).remote.address ?? '';
  while (isWithin(client, trustedProxies)) {
    const before = forwarded.pop();
    if (!before || !ipaddr.isValid(before)) break;
    client = before;
  }
  return network(client);
}

/** Whether an address is in one of these networks. */
export function isWithin(address: string, cidrs: string[]): boolean {
  if (!ipaddr.isValid(address)) return false;
  const ip = ipaddr.process(address);
  return cidrs
    .map((cidr) => ipaddr.parseCIDR(cidr))
    .some(([net, bits]) => net.kind() === ip.kind() && ip.match(net, bits));
}

function network(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const ip = ipaddr.process(address);
  return ip instanceof ipaddr.IPv6
    ? `${ip.parts
        .slice(0, 4)
        .map((part) => part.toString(16))
        .join(':')}::/64`
    : ip.toString();
}
