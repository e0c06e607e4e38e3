import type { Definition } from '../../workflows/contract/definition.ts';
import type { ValueRef } from '../../workflows/contract/shared-state.ts';

/** The keys that a run gives their values by itself. */
export const keysOfRun = ['user_input', 'user_query', 'human_response'];

export type NewText = { text_id: string; run_id: string; text: string };

/**
 * What the state of a run begins with: the defaults of the schema, the message as `user_input`, `user_query` and the first key
 * of the schema, and in place of both what was given by name. A message that is empty, as 0.1.0 took it, leaves that key to its default.
 */
export function firstState(
  run_id: string,
  { state_schema }: Definition,
  { message, initial_state }: { message: string; initial_state: Record<string, unknown> },
): { refs: Record<string, ValueRef>; texts: NewText[] } {
  const refs: Record<string, ValueRef> = {};
  const input = { text_id: `${run_id}/input`, run_id, text: message };
  const texts = [input];
  const keep = (key: string, kind: 'default' | 'initial', value: unknown) => {
    const kept = keptValue(run_id, `${kind}/${key}`, value);
    texts.push(kept.text);
    refs[key] = kept.ref;
  };
  for (const [key, { default: value }] of Object.entries(state_schema)) {
    if (value === undefined || value === null || Object.hasOwn(initial_state, key)) continue;
    keep(key, 'default', value);
  }
  const [first] = Object.keys(state_schema);
  for (const key of ['user_input', 'user_query', ...(first === undefined || message === '' ? [] : [first])])
    refs[key] = { text: input.text_id };
  for (const [key, value] of Object.entries(initial_state)) keep(key, 'initial', value);
  return { refs, texts };
}

/** A value that is given to a run, as a text of it. `name` is its own among the texts of the run. */
export function keptValue(run_id: string, name: string, value: unknown): { ref: ValueRef; text: NewText } {
  const text_id = `${run_id}/${name}`;
  const isText = typeof value === 'string';
  const text = { text_id, run_id, text: isText ? value : JSON.stringify(value) };
  return { ref: isText ? { text: text_id } : { json: text_id }, text };
}
