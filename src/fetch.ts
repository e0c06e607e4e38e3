import dns from 'node:dns';
import type { LookupFunction } from 'node:net';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { Agent, buildConnector, fetch as undiciFetch } from 'undici';

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

export class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError';
}

export type GuardedFetchOptions = {
  /** `10.0.0.0/8`, `::1/128`, …: private ranges that the operator allows. */
  allowedPrivateCidrs: string[];
  /** Longest silence within a body. */
  idle_timeout_ms: number;
  /** Longest wait for the headers; models that do not stream send them only when their whole answer is ready. */
  headers_timeout_ms: number;
  /** Counted after decompression. */
  max_body_bytes: number;
};

/**
 * A fetch for addresses that users give us: http(s) to public unicast addresses only, unless inside an allowed range.
 * Names are resolved once per connection and the checked addresses are the ones connected to. Redirects are not
 * followed; proxies of the environment are not used.
 *
 * @returns `fetch` (rejects with `EgressBlockedError`, or undici's errors; its bodies may fail with
 *   `BodyTooLargeError`) and `close`, which hangs up on everything.
 * @throws Error when a CIDR is malformed.
 */
export function createGuardedFetch({
  allowedPrivateCidrs,
  idle_timeout_ms,
  headers_timeout_ms,
  max_body_bytes,
}: GuardedFetchOptions): { fetch: typeof fetch; close: () => Promise<void> } {
  const allowed = allowedPrivateCidrs.map(parseCidr);

  function check(hostname: string, address: string) {
    if (isPublicAddress(address) || isWithin(address, allowed)) return;
    const where = hostname === address ? address : `${hostname} (${address})`;
    throw new EgressBlockedError(
      `${where} is not a public address. The operator can allow it with ORCHFLOW_ALLOWED_PRIVATE_CIDRS.`,
    );
  }

  const checkedLookup: LookupFunction = (hostname, options, callback) => {
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

  const connect = buildConnector({ lookup: checkedLookup, timeout: Math.min(10_000, headers_timeout_ms) });
  const agent = new Agent({
    headersTimeout: headers_timeout_ms,
    bodyTimeout: idle_timeout_ms,
    connect(options, callback) {
      try {
        if (isIP(options.hostname)) check(options.hostname, options.hostname);
      } catch (error) {
        return callback(error as Error, null);
      }
      connect(options, callback);
    },
  });

  async function guardedFetch(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
    if (input instanceof Request) throw new TypeError('guarded fetch takes a URL');
    const url = new URL(input);
    if (url.protocol !== 'https:' && url.protocol !== 'http:') {
      throw new EgressBlockedError(`${url.protocol} URLs are not allowed, only http: and https:.`);
    }
    if (url.username || url.password) throw new EgressBlockedError('A URL must not carry a user name or password.');
    const response = await send(url, init);
    if (response.status >= 300 && response.status < 400) {
      await response.body?.cancel();
      const { status, headers } = response;
      const location = URL.parse(headers.get('location') ?? '', url.href)?.href;
      const message = `${url.host} answered with a redirect (${status}); redirects are not followed.`;
      throw new EgressBlockedError(message, { status, ...(location && { location }) });
    }
    return response.body ? new Response(capped(response.body, max_body_bytes), response) : response;
  }

  async function send(url: URL, init: RequestInit): Promise<Response> {
    try {
      // undici's own fetch belongs to its own Agent; only the two packages' type declarations differ.
      const options = { ...init, redirect: 'manual', dispatcher: agent } as Parameters<typeof undiciFetch>[1];
      return (await undiciFetch(url, options)) as unknown as Response;
    } catch (error) {
      if (error instanceof Error && error.cause instanceof EgressBlockedError) throw error.cause;
      throw error;
    }
  }

  return { fetch: guardedFetch, close: () => agent.destroy() };
}

/** What `Retry-After` says, in seconds or as a date: milliseconds from now. Undefined when it says nothing. */
export function retryAfter(headers: Headers): number | undefined {
  const after = headers.get('retry-after') ?? '';
  const wait = /^\d+(\.\d+)?$/.test(after) ? Number(after) * 1000 : Date.parse(after) - Date.now();
  return Number.isFinite(wait) ? Math.max(wait, 0) : undefined;
}

/** By the code of an error; the first that fits. The messages themselves name addresses, which may be ours. */
const FAILURES: [RegExp, string][] = [
  [/^ECONNREFUSED/, 'the connection was refused'],
  [/^ENOTFOUND/, 'there is no such host'],
  [/^EAI_/, 'the name of the host could not be looked up'],
  [/^(EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|EADDRNOTAVAIL)/, 'the host cannot be reached'],
  [/^(ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)/, 'the connection took too long'],
  [/^(UND_ERR_HEADERS_TIMEOUT|UND_ERR_BODY_TIMEOUT)/, 'the answer took too long'],
  [/^(ECONNRESET|EPIPE|UND_ERR_SOCKET)/, 'the connection was closed before the whole answer'],
  [/^CERT_HAS_EXPIRED/, 'its certificate has expired'],
  [/^CERT_NOT_YET_VALID/, 'its certificate is not valid yet'],
  [/^CERT_REVOKED/, 'its certificate was revoked'],
  [/^ERR_TLS_CERT_ALTNAME_INVALID/, 'its certificate is for another name'],
  [/SELF_SIGNED/, 'its certificate is self-signed'],
  [/^(UNABLE_TO_|CERT_|INVALID_CA|PATH_LENGTH)/, 'its certificate cannot be verified'],
  [/^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST)/, 'it does not speak TLS there; is it http?'],
  [/^(ERR_SSL_|ERR_TLS_|EPROTO)/, 'no agreement on TLS'],
];

/** Why a request had no answer, which may have taken so long: in words, with the code, and without any address. */
export function describeNoAnswer(error: unknown, timeout_ms?: number): string {
  const code = codesOf(error).at(-1);
  if (timeout_ms && causesOf(error).some(({ name }) => name === 'TimeoutError'))
    return `it took longer than ${timeout_ms / 1_000} seconds`;
  return whyNoAnswer(error) ?? (code ? `the request failed (${code})` : 'the request failed');
}

/** The same; undefined when nothing of the error is known to happen on the way to a server. */
export function whyNoAnswer(error: unknown): string | undefined {
  const names = causesOf(error).map(({ name }) => name);
  if (names.includes('TimeoutError')) return 'it took too long';
  if (names.includes('HTTPParserError')) return 'what it sent is not HTTP';
  const failures = codesOf(error).flatMap((code) => {
    const words = FAILURES.find(([begins]) => begins.test(code))?.[1];
    return words ? [`${words} (${code})`] : [];
  });
  return failures.at(-1);
}

/** The codes of an error and of its causes, in this order. */
function codesOf(error: unknown): string[] {
  const codes = causesOf(error).map((cause): unknown => {
    // Of a host with several addresses: they failed alike, or the first counts.
    const [first] = cause instanceof AggregateError ? (cause.errors as unknown[]) : [];
    return 'code' in cause ? cause.code : first && (first as { code?: unknown }).code;
  });
  return codes.filter((code) => typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,60}$/.test(code)) as string[];
}

/** The error, its cause, and so on. */
function causesOf(error: unknown): Error[] {
  return error instanceof Error ? [error, ...causesOf(error.cause)] : [];
}

function capped(body: ReadableStream<Uint8Array>, max_body_bytes: number): ReadableStream<Uint8Array> {
  let size = 0;
  const cap = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      size += chunk.byteLength;
      if (size > max_body_bytes) throw new BodyTooLargeError(`The answer is larger than ${max_body_bytes} bytes.`);
      controller.enqueue(chunk);
    },
  });
  return body.pipeThrough(cap);
}

type Cidr = [ipaddr.IPv4 | ipaddr.IPv6, number];

function parseCidr(cidr: string): Cidr {
  try {
    return ipaddr.parseCIDR(cidr);
  } catch {
    throw new Error(`"${cidr}" is not a CIDR such as 10.0.0.0/8 or ::1/128`);
  }
}

/** ipaddr.js calls some embedded IPv4 addresses "unicast" too, so IPv6 must also lie in 2000::/3, all that is routed. */
export function isPublicAddress(address: string): boolean {
  const ip = parse(address);
  if (ip?.range() !== 'unicast') return false;
  return ip instanceof ipaddr.IPv4 || ip.match(ipaddr.IPv6.parseCIDR('2000::/3'));
}

function isWithin(address: string, cidrs: Cidr[]): boolean {
  const ip = parse(address);
  return cidrs.some(([network, bits]) => ip?.kind() === network.kind() && ip.match(network, bits));
}

/** IPv4 inside `::ffff:` comes out as IPv4; an address with a zone id is refused, its range says nothing. */
function parse(address: string) {
  return address.includes('%') || !ipaddr.isValid(address) ? undefined : ipaddr.process(address);
}
