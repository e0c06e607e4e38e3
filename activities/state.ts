import { ApplicationFailure } from '@temporalio/activity';
import { isObject } from '../src/llm/index.ts';
import type { StateValues } from '../db/shared-state.ts';

/** Values of the state of an orchestration inside texts. */

/** A value inside a text: a text as it is, all else as JSON. */
export function asText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

const reference = /\{state\.([\w-]+)((?:\.[\w-]+)*)\}/g;

/** The keys that a template reads. */
export function keysIn(template: string | null): string[] {
  return [...(template ?? '').matchAll(reference)].map(([, key]) => key!);
}

/**
 * Replaces `{state.key}` and `{state.key.member}`. What the state does not have, or has as null, stays as it stands. In a
 * prompt, a member that an object does not have is blank, as a field is that a person has left out.
 * @throws `ValueTooLong` before it holds more than `limit` characters.
 */
export function render(template: string, state: StateValues, limit: number, into?: 'prompt'): string {
  let length = template.length;
  return template.replaceAll(reference, (whole, key: string, path: string) => {
    const members = [key, ...path.split('.').slice(1)];
    const value = members.reduce<unknown>((from, member) => memberOf(from, member), state);
    if (value === undefined || value === null) return into === 'prompt' && path && isObject(state[key]) ? '' : whole;
    const text = asText(value);
    length += text.length - whole.length;
    requireShort(length, limit);
    return text;
  });
}

/** Joins texts. @throws `ValueTooLong` before it holds more than `limit` characters. */
export function join(texts: string[], limit: number): string {
  const separator = '\n\n';
  requireShort(
    texts.reduce((sum, { length }) => sum + length + separator.length, 0),
    limit,
  );
  return texts.join(separator);
}

/** What a step makes has a bound, so that no run fills the memory that all share. */
export function requireShort(length: number, limit: number): void {
  if (length <= limit) return;
  const numbers = new Intl.NumberFormat('en');
  const message = `it makes a value of more than ${numbers.format(limit)} characters.`;
  throw ApplicationFailure.nonRetryable(message, 'ValueTooLong');
}

function memberOf(from: unknown, member: string): unknown {
  if (typeof from !== 'object' || from === null || !Object.hasOwn(from, member)) return undefined;
  return (from as Record<string, unknown>)[member];
}
