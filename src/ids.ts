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
