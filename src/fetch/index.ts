import { isIP } from 'node:net';
import { Agent, buildConnector, fetch as undiciFetch } from 'undici';
import { isPublicAddress, isWithin, parseCidr, type Cidr } from './addresses.ts';
import { addressGuard, EgressBlockedError, notPublic } from './guard.ts';
import { requireNone, type Path } from '../errors.ts';

export { createGuardedConnect, EgressBlockedError, type GuardedConnect } from './guard.ts';

export class BodyTooLargeError extends Error {
  override readonly name = 'BodyTooLargeError';
}

/**
 * Why the fetch would never call this URL, as far as the URL itself says it; undefined for the others. Names are not
 * looked up: where they lead may change, and is checked at each call.
 */
export type CheckAddress = (url: string) => string | undefined;

/** Throws `InvalidInputError` for those that would never be called. Those that are not given are none. */
export function requireCallable(checkAddress: CheckAddress, given: [path: Path, url: string | null | undefined][]) {
  const faults = given.flatMap(([path, url]) => {
    const detail = url ? checkAddress(url) : undefined;
    return detail ? [{ path, detail }] : [];
  });
  requireNone(faults);
}

export type GuardedFetchOptions = {
  /** `10.0.0.0/8`, `::1/128`, …: private ranges that the operator allows. */
  allowedPrivateCidrs: string[];
  /** The setting that they come from: who is refused is told of it. */
  setting?: string;
  /** `http://ollama.internal:11434`, …: what the operator's own settings name is called wherever it is. */
  ownOrigins?: string[];
  /** Longest silence within a body. */
  idle_timeout_ms: number;
  /** Longest wait for the headers; models that do not stream send them only when their whole answer is ready. */
  headers_timeout_ms: number;
  /** Counted after decompression. */
  max_body_bytes: number;
};

/**
 * A fetch for addresses that users give us: http(s) to public unicast addresses only, unless inside an allowed range, or
 * at one of `ownOrigins`. Names are resolved once per connection and the checked addresses are the ones connected to.
 * Redirects are not followed; proxies of the environment are not used. What a name was resolved to is told to nobody.
 *
 * @returns `fetch` (rejects with `EgressBlockedError`, or undici's errors; its bodies may fail with
 *   `BodyTooLargeError`), `close`, which hangs up on everything, and `checkAddress`.
 * @throws Error when a CIDR is malformed.
 */
export function createGuardedFetch({
  allowedPrivateCidrs,
  setting = 'ORCHFLOW_ALLOWED_PRIVATE_CIDRS',
  ownOrigins = [],
  idle_timeout_ms,
  headers_timeout_ms,
  max_body_bytes,
}: GuardedFetchOptions): { fetch: typeof fetch; close: () => Promise<void>; checkAddress: CheckAddress } {
  const allowed = allowedPrivateCidrs.map(parseCidr);

  const { check, lookup } = addressGuard(allowed, setting);
  const timeout = Math.min(10_000, headers_timeout_ms);
  const timeouts = { headersTimeout: headers_timeout_ms, bodyTimeout: idle_timeout_ms };
  const connect = buildConnector({ lookup, timeout });
  const ownAgent = new Agent({ ...timeouts, connect: { timeout } });
  const agent = new Agent({
    ...timeouts,
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
      const dispatcher = ownOrigins.includes(url.origin) ? ownAgent : agent;
      const options = { ...init, redirect: 'manual', dispatcher } as Parameters<typeof undiciFetch>[1];
      return (await undiciFetch(url, options)) as unknown as Response;
    } catch (error) {
      if (error instanceof Error && error.cause instanceof EgressBlockedError) throw error.cause;
      throw error;
    }
  }

  return {
    fetch: guardedFetch,
    close: async () => void (await Promise.all([agent.destroy(), ownAgent.destroy()])),
    checkAddress: (url) => privateFault(url, allowed, setting),
  };
}

function privateFault(url: string, allowed: Cidr[], setting: string): string | undefined {
  const hostname = new URL(url).hostname.replace(/^\[|\]$/g, '');
  // What this name means is no question of DNS (RFC 6761).
  const addresses = /(^|\.)localhost\.?$/.test(hostname) ? ['127.0.0.1', '::1'] : [hostname];
  const known = addresses.filter((address) => isIP(address));
  const mayBeCalled = known.some((address) => isPublicAddress(address) || isWithin(address, allowed));
  return known.length === 0 || mayBeCalled ? undefined : notPublic(hostname, setting);
}

/** Whether a header can have this value. What no header takes, as a key with a line break, fails only when it is sent. */
export function isHeaderValue(value: string): boolean {
  return /^[\x20-\x7e]*$/.test(value);
}

/** What `Retry-After` says, in seconds or as a date: milliseconds from now. Undefined when it says nothing. */
export function retryAfter(headers: Headers): number | undefined {
  const after = headers.get('retry-after') ?? '';
  const wait = /^\d+(\.\d+)?$/.test(after) ? Number(after) * 1000 : Date.parse(after) - Date.now();
  return Number.isFinite(wait) ? Math.max(wait, 0) : undefined;
}

/** In words, by the code of an error; the first that fits. The messages themselves name addresses, which may be ours. */
type Failures = [RegExp, string][];

/** Before anything is sent: no connection came about. */
const UNSENT: Failures = [
  [/^ECONNREFUSED/, 'the connection was refused'],
  [/^ENOTFOUND/, 'there is no such host'],
  [/^EAI_/, 'the name of the host could not be looked up'],
  [/^(EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|EADDRNOTAVAIL)/, 'the host cannot be reached'],
  [/^(ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)/, 'the connection took too long'],
  [/^CERT_HAS_EXPIRED/, 'its certificate has expired'],
  [/^CERT_NOT_YET_VALID/, 'its certificate is not valid yet'],
  [/^CERT_REVOKED/, 'its certificate was revoked'],
  [/^ERR_TLS_CERT_ALTNAME_INVALID/, 'its certificate is for another name'],
  [/SELF_SIGNED/, 'its certificate is self-signed'],
  [/^(UNABLE_TO_|CERT_|ERROR_IN_CERT_|INVALID_CA|PATH_LENGTH)/, 'its certificate cannot be verified'],
  [/^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST)/, 'it does not speak TLS there; is it http?'],
  [/^(ERR_SSL_|ERR_TLS_|EPROTO)/, 'no agreement on TLS'],
];
const FAILURES: Failures = [
  ...UNSENT,
  [/^(UND_ERR_HEADERS_TIMEOUT|UND_ERR_BODY_TIMEOUT)/, 'the answer took too long'],
  [/^(ECONNRESET|EPIPE|UND_ERR_SOCKET)/, 'the connection was closed before the whole answer'],
];

/** Whether a request surely reached no server. */
export function wasNotSent(error: unknown): boolean {
  return codesOf(error).some((code) => UNSENT.some(([begins]) => begins.test(code)));
}

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
  // What is known by no code of ours may still name in its message where it wanted to go.
  const code = causesOf(error).some(isOfAnAddress) ? codesOf(error).at(-1) : undefined;
  return failures.at(-1) ?? (code && `the request failed (${code})`);
}

/** As Node's errors of sockets and of name servers are (https://nodejs.org/api/errors.html#class-systemerror). */
function isOfAnAddress(error: Error): boolean {
  const errors = error instanceof AggregateError ? (error.errors as object[]) : [error];
  return errors.some((one) => 'address' in one || 'hostname' in one);
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

/** By hand: to pipe a stream through another one takes 0.05 ms of CPU more, a fifth of what a small request takes. */
function capped(body: ReadableStream<Uint8Array>, max_body_bytes: number): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let size = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) return controller.close();
        size += value.byteLength;
        if (size > max_body_bytes) {
          const error = new BodyTooLargeError(`The answer is larger than ${max_body_bytes} bytes.`);
          void reader.cancel(error).catch(() => {});
          throw error;
        }
        controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
