import { createHash, randomBytes } from 'node:crypto';

const prefixes = {
  account: 'acc',
  api_key: 'key',
  person: 'per',
  provider: 'prv',
  run: 'run',
  orchestration: 'orch',
  webhook_delivery: 'msg',
  webhook_subscription: 'sub',
  request: 'req',
  file: 'file',
  agent: 'agt',
  oauth_client: 'ocl',
  knowledge: 'kb',
  document: 'doc',
  embedding: 'emb',
} as const;

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

/** What a request with an `Idempotency-Key` makes its ids of. `isRetry`: its first try died without an answer. */
export type IdSeed = { seed: string; isRetry: boolean; idempotency_key: string };

/**
 * An id such as `run_4k2m9x…`: the prefix of its kind and 100 bits in Crockford base 32. They are random; with a seed
 * they are the same at every try, so that a retry finds what the first try made.
 */
export function newId(kind: keyof typeof prefixes, from?: IdSeed): string {
  const bytes = from ? createHash('sha256').update(`${kind}:${from.seed}`).digest() : randomBytes(20);
  const body = Array.from(bytes.subarray(0, 20), (byte) => alphabet[byte & 31]).join('');
  return `${prefixes[kind]}_${body}`;
}

/**
 * The id of a run as a UUID (version 8 of RFC 9562, whose bits are free): the 100 bits of the id, then zeros. Where it begins
 * with the same digits, so does the id with the same letters.
 */
export function uuidOf(run_id: string): string {
  const body = run_id.slice(run_id.indexOf('_') + 1);
  let bits = 0n;
  for (const letter of body) bits = (bits << 5n) | BigInt(alphabet.indexOf(letter));
  const [first, second, third] = [bits >> 52n, (bits >> 40n) & 0xfffn, bits & 0xffffffffffn];
  const hex = (part: bigint, digits: number) => part.toString(16).padStart(digits, '0');
  // Of the third part, 62 bits long with its variant, 40 are the id's.
  const digits = `${hex(first, 12)}8${hex(second, 3)}${hex((2n << 62n) | (third << 22n), 16)}`;
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** The id of the request that a run came of: `req_` and the beginning of the run's UUID, by which the run is found again. */
export function requestIdOf(run_id: string): string {
  return `req_${uuidOf(run_id).replaceAll('-', '').slice(0, 12)}`;
}

/** The id of the run that has this UUID; undefined where no run can have it. */
export function runIdOf(uuid: string): string | undefined {
  const digits = uuid.toLowerCase().replaceAll('-', '');
  if (!/^[0-9a-f]{12}8[0-9a-f]{3}[89ab][0-9a-f]{15}$/.test(digits)) return undefined;
  const [first, second, third] = [digits.slice(0, 12), digits.slice(13, 16), digits.slice(16)].map((part) =>
    BigInt(`0x${part}`),
  );
  const bits = (first! << 52n) | (second! << 40n) | ((third! >> 22n) & 0xffffffffffn);
  const body = Array.from({ length: 20 }, (_, at) => alphabet[Number((bits >> BigInt(95 - 5 * at)) & 31n)]).join('');
  return uuidOf(`${prefixes.run}_${body}`).replaceAll('-', '') === digits ? `${prefixes.run}_${body}` : undefined;
}

/**
 * The first and the last id that a run can have whose UUID begins with these digits (hyphens are not looked at); undefined where no run's
 * does. Ids sort as their UUIDs do.
 */
export function runIdsWithPrefix(prefix: string): { first: string; last: string } | undefined {
  const digits = prefix.toLowerCase().replaceAll('-', '');
  if (!/^[0-9a-f]{1,32}$/.test(digits)) return undefined;
  const [first, last] = ['00000000000080008000000000000000', 'ffffffffffff8fffbfffffffffc00000'].map((rest) =>
    runIdOf(digits + rest.slice(digits.length)),
  );
  return first && last ? { first, last } : undefined;
}
