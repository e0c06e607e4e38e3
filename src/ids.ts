import { randomBytes } from 'node:crypto';

const prefixes = {
  account: 'acc',
  provider: 'prv',
  run: 'run',
  webhook_delivery: 'msg',
  request: 'req',
} as const;

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

/** A random id such as `run_4k2m9x…`: the prefix of its kind and 100 random bits in Crockford base 32. */
export function newId(kind: keyof typeof prefixes): string {
  const body = Array.from(randomBytes(20), (byte) => alphabet[byte & 31]).join('');
  return `${prefixes[kind]}_${body}`;
}
