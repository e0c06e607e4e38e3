import type { Definition } from '../../workflows/contract/definition.ts';
import type { ValueRef } from '../../workflows/contract/shared-state.ts';

/**
 * What the state of a run begins with: the defaults of the schema, and the message as `user_input`, `user_query` and the
 * first key of the schema.
 */
export function firstState(
  run_id: string,
  { state_schema }: Definition,
  message: string,
): { refs: Record<string, ValueRef>; texts: { text_id: string; run_id: string; text: string }[] } {
  const refs: Record<string, ValueRef> = {};
  const input = { text_id: `${run_id}/input`, run_id, text: message };
  const texts = [input];
  for (const [key, { default: value }] of Object.entries(state_schema)) {
    if (value === undefined || value === null) continue;
    const text_id = `${run_id}/default/${key}`;
    const isText = typeof value === 'string';
    texts.push({ text_id, run_id, text: isText ? value : JSON.stringify(value) });
    refs[key] = isText ? { text: text_id } : { json: text_id };
  }
  const [first] = Object.keys(state_schema);
  for (const key of ['user_input', 'user_query', ...(first === undefined ? [] : [first])])
    refs[key] = { text: input.text_id };
  return { refs, texts };
}
