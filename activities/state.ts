import type { ValueRef } from '../workflows/orchestration-state.ts';

/** The state of an orchestration: where its values are, and what they are. */
export type StateRefs = Record<string, ValueRef>;
export type StateValues = Record<string, unknown>;

/** The texts that hold the values of these keys; all of them unless given. */
export function textIdsOf(state: StateRefs, keys = Object.keys(state)): string[] {
  return keys.flatMap((key) => (Object.hasOwn(state, key) ? idsOf(state[key]!) : []));
}

function idsOf(ref: ValueRef): string[] {
  return 'text' in ref ? [ref.text] : 'json' in ref ? [ref.json] : [];
}

/** What a reference stands for. Undefined when its text is not among those that were loaded. */
export function valueOf(ref: ValueRef, texts: Map<string, string>): unknown {
  if ('value' in ref) return ref.value;
  if ('text' in ref) return texts.get(ref.text);
  const json = texts.get(ref.json);
  return json === undefined ? undefined : (JSON.parse(json) as unknown);
}

/** The values that were loaded, by key. */
export function valuesOf(state: StateRefs, texts: Map<string, string>): StateValues {
  const entries = Object.entries(state).map(([key, ref]) => [key, valueOf(ref, texts)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

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
