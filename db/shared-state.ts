import type { ValueRef } from '../workflows/contract/shared-state.ts';

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
