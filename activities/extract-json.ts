import { isContainer, jsonValues } from '../src/llm/index.ts';

/**
 * The objects and lists in a text: the text itself when it is one, else those in fenced blocks, else those that stand in
 * the prose.
 */
export function jsonIn(text: string): unknown[] {
  const values = jsonValues(text).filter(isContainer);
  if (values.length < 2) return values;
  const fenced = [...text.matchAll(/```[\w-]*\s*\n([\s\S]*?)```/g)].flatMap(([, inner]) => jsonValues(inner!));
  const inFences = fenced.filter(isContainer);
  return inFences.length > 0 ? inFences : values;
}
