import dns from 'node:dns';
import { connect, isIP, type LookupFunction, type Socket } from 'node:net';
import { isPublicAddress, isWithin, parseCidr, type Cidr } from './addresses.ts';

/** What stands between an address that somebody gave us and a connection to it. */

/** Where a request may go was decided against it, or where an answer wanted to send it. Never worth a retry. */
export class EgressBlockedError extends Error {
  override readonly name = 'EgressBlockedError';
  /** The 3xx that was not followed. */
  readonly status?: number;
  /** Where it points to, as an absolute URL. */
  readonly location?: string;

  constructor(message: string, redirect?: { status: number; location?: string }) {
    super(message);
    if (redirect) Object.assign(this, redirect);
  }
}

export function notPublic(hostname: string, setting: string): string {
  return `${hostname} is not a public address. The operator can allow it with ${setting}.`;
}

/** `check` throws `EgressBlockedError`; the addresses that `lookup` has checked are the ones connected to. */
export function addressGuard(allowed: Cidr[], setting: string) {
  function check(hostname: string, address: string): void {
    if (isPublicAddress(address) || isWithin(address, allowed)) return;
    throw new EgressBlockedError(notPublic(hostname, setting));
  }

  const lookup: LookupFunction = (hostname, options, callback) => {
    dns.lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, '');
      try {
        for (const { address } of addresses) check(hostname, address);
      } catch (blocked) {
        return callback(blocked as Error, '');
      }
      if (options.all) return callback(null, addresses);
      callback(null, addresses[0]!.address, addresses[0]!.family);
    });
  };

  return { check, lookup };
}

/** Connects to a host by the same rules; the socket fails with `EgressBlockedError` where they do not allow it. */
export type GuardedConnect = (host: string, port: number) => Socket;

/** @throws Error when a CIDR is malformed. */
export function createGuardedConnect(allowedPrivateCidrs: string[], setting: string): GuardedConnect {
  const { check, lookup } = addressGuard(allowedPrivateCidrs.map(parseCidr), setting);
  return (host, port) => {
    if (isIP(host)) check(host, host);
    return connect({ host, port, lookup, timeout: 10_000 });
  };
}
