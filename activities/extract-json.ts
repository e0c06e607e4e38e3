import { isContainer, jsonValues } from '../src/llm/index.ts';

/**
 * The objects and lists in a text: the text itself when it is one, else those in fenced blocks, else those that stand in
 * the prose.
 */
export function jsonIn(text: string): unknown[] {
  const values = jsonValues(text).filter(isContainer);
  if (values.length < 2) return values;
  const inFences = fencedIn(text).flatMap(jsonValues).filter(isContainer);
  return inFences.length > 0 ? inFences : values;
}

/** What stands between fences. One that begins a block ends its line, and no part of a text is looked at twice. */
function fencedIn(text: string): string[] {
  const blocks: string[] = [];
  let begin: number | undefined;
  for (const fence of text.matchAll(/```([\w-]*[^\S\n]*\n)?/g)) {
    if (begin !== undefined) {
      blocks.push(text.slice(begin, fence.index));
      begin = undefined;
    } else if (fence[1]) {
      begin = fence.index + fence[0].length;
    }
  }
  return blocks;
}
