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

/** Replaces `{state.key}` and `{state.key.member}`. What the state does not have, or has as null, stays as it stands. */
export function render(template: string, state: StateValues): string {
  return template.replaceAll(reference, (whole, key: string, path: string) => {
    const members = [key, ...path.split('.').slice(1)];
    const value = members.reduce<unknown>((from, member) => memberOf(from, member), state);
    return value === undefined || value === null ? whole : asText(value);
  });
}

function memberOf(from: unknown, member: string): unknown {
  if (typeof from !== 'object' || from === null || !Object.hasOwn(from, member)) return undefined;
  return (from as Record<string, unknown>)[member];
}
