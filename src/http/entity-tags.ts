import type { Context } from 'hono';
import { z } from 'zod';
import { DomainError, InvalidInputError } from '../errors.ts';
import type { AppEnv } from './env.ts';

/**
 * Entity tags (https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3), so that nobody undoes a change that they have not seen: what is
 * answered names its version in `ETag`, and who changes it says in `If-Match` which one they have.
 */

/** The header of an operation that changes something; what it answers to another version is 412. */
export const ifMatchHeader = z.object({
  'if-match': z
    .string()
    .optional()
    .meta({
      description:
        'The `ETag` of what you have seen, or several with commas between them: where it was changed since, nothing is done, and the ' +
        'answer is 412. `*`, and no such header, stand for any.',
      example: '"0199f3c2-7a51-7d3e-9a64-2f1b8c0d4e5f"',
    }),
});

/** Of which version the answer is. */
export function setETag(c: Context, version: string): void {
  c.header('ETag', `"${version}"`);
}

const tags = /^[ \t]*(W\/)?"[\x21\x23-\x7e]*"([ \t]*,[ \t]*(W\/)?"[\x21\x23-\x7e]*")*[ \t]*$/;
const mostLength = 2_000;

/**
 * The versions that `If-Match` names; undefined when any will do. Weak tags never match, as it compares strongly
 * (https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1). Throws `InvalidInputError` for what is no list of tags.
 */
export function versionsOfIfMatch(c: Context<AppEnv>): string[] | undefined {
  const header = c.req.header('if-match');
  if (header === undefined || header.trim() === '*') return undefined;
  if (header.length > mostLength || !tags.test(header)) {
    const detail = `must be "*", or entity tags in quotation marks, as \`ETag\` has them, of ${mostLength} characters at most`;
    throw new InvalidInputError([{ path: ['If-Match'], detail }]);
  }
  return [...header.matchAll(/(W\/)?"([^"]*)"/g)].flatMap(([, weak, tag]) => (weak ? [] : [tag!]));
}

/**
 * Throws `PRECONDITION_FAILED` where what is there is none of these versions; undefined stands for any. Who asks holds what it is
 * about until it is changed.
 */
export function requireMatch(seen: string[] | undefined, version: string, what: string): void {
  if (seen === undefined || seen.includes(version)) return;
  throw new DomainError('PRECONDITION_FAILED', `The ${what} was changed since the version that \`If-Match\` names.`);
}
