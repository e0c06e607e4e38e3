import type { ModelRequest } from './model.ts';

/** Thoughts that a server leaves in the text of an answer, because it does not know how its model marks them. */

type Mark = [begin: string, end: string];

/** How models begin and end their thoughts: Qwen, DeepSeek and most others; Seed; Magistral; Kimi; gpt-oss. */
export const MARKS: Mark[] = [
  ...['think', 'thinking', 'thought', 'reasoning', 'seed:think'].map((tag): Mark => [`<${tag}>`, `</${tag}>`]),
  ['[think]', '[/think]'],
  ['◁think▷', '◁/think▷'],
  ['<|channel|>analysis<|message|>', '<|channel|>final<|message|>'],
];
const longestMark = Math.max(...MARKS.flat().map((mark) => mark.length));

/** In any case: no character of a mark has another length in lower case. */
const beginsWith = (text: string, mark: string) => text.slice(0, mark.length).toLowerCase() === mark;
export const escapeMark = (mark: string) => mark.replaceAll(/[|[\]/]/g, '\\$&');
const endOf = new Map(MARKS.map(([begin, end]) => [begin, new RegExp(escapeMark(end), 'i')]));

/** Those that a request does not speak of: what it asks for by name, as `<reasoning>` before an `<answer>`, is no thought. */
export function marksBeside({ system, prompt }: Pick<ModelRequest, 'system' | 'prompt'>): Mark[] {
  const spoken = `${system}\n${prompt}`.toLowerCase();
  return MARKS.filter(([begin, end]) => !spoken.includes(begin) && !spoken.includes(end));
}

function anEndOf(marks: Mark[]): RegExp {
  return new RegExp(marks.map(([, end]) => escapeMark(end)).join('|') || '(?!)', 'i');
}

/**
 * The text without the thoughts that it begins with: marked ones, also when they are never ended, and all up to an end
 * that stands alone, where the server has put the beginning into the prompt. A text that speaks of such marks keeps them.
 */
export function withoutThoughts(text: string, marks = MARKS): string {
  const visible = visibleTexts(marks);
  const said = visible.push(text) + visible.end();
  if (visible.isMarked()) return said;
  const end = loneEnd(text, marks);
  return end === undefined ? text : text.slice(end).trimStart();
}

/** Where thoughts end that never began: at the first end, unless it is quoted, in code, or amid a sentence. */
function loneEnd(text: string, marks: Mark[]): number | undefined {
  const match = anEndOf(marks).exec(text);
  if (!match) return undefined;
  const [mark] = match;
  const before = text.slice(0, match.index);
  const after = text.slice(match.index + mark.length);
  const begin = MARKS.find(([, end]) => end === mark.toLowerCase())![0];
  const isQuoted = /["'`“«]$/.test(before.slice(-1)) && /^["'`”»]/.test(after);
  const isInCode = before.split('```').length % 2 === 0;
  const isInSentence = /[\p{L}\p{N},] $/u.test(before.slice(-3)) && /^ \p{Ll}/u.test(after);
  const isPunctuated = /^[ \t]*[.,;:!?)\]|*_]/.test(after);
  const wasBegun = before.toLowerCase().includes(begin);
  return isQuoted || isInCode || isInSentence || isPunctuated || wasBegun ? undefined : match.index + mark.length;
}

/**
 * Hands on the text of an answer bit by bit, without the thoughts that it begins with. `hasBegun`: it is known to begin
 * amid its thoughts, so nothing is handed on before their end. `end` hands on what was held back, and says how long the
 * text was in all: longer than the answer's when that had such thoughts and it was not known.
 */
export function visibleDeltas(
  on_delta: (text: string) => void,
  hasBegun: boolean,
  marks: Mark[],
): { push: (text: string) => void; end: () => number } {
  const visible = visibleTexts(marks, hasBegun);
  let length = 0;
  const tell = (text: string) => {
    length += text.length;
    if (text) on_delta(text);
    return length;
  };
  return { push: (text) => void tell(visible.push(text)), end: () => tell(visible.end()) };
}

/** The visible text of a text that comes in pieces, cut anywhere. It looks at each piece once, and holds back what may be a mark. */
function visibleTexts(marks: Mark[], hasBegun = false) {
  let state: 'begun' | 'begin' | 'thoughts' | 'text' = hasBegun ? 'begun' : 'begin';
  let isMarked = false;
  let end = anEndOf(marks);
  /** What stands before the held text, and is told with it if that is none of a mark. */
  let before = '';
  let held = '';

  /** What of the held text can be seen now; undefined when more must come to know. */
  function step(): string | undefined {
    if (state === 'text') return take();
    if (state === 'thoughts' || state === 'begun') {
      const match = end.exec(held);
      // The last characters may be the beginning of the end.
      if (!match && state === 'begun') before += held.slice(0, 1 - longestMark);
      held = match ? held.slice(match.index + match[0].length) : held.slice(1 - longestMark);
      if (match) [state, isMarked] = ['begin', true];
      return match ? '' : undefined;
    }
    const start = held.search(/\S|$/);
    before += held.slice(0, start);
    held = held.slice(start);
    const begun = marks.find(([begin]) => beginsWith(held, begin));
    if (begun) {
      [state, isMarked, end] = ['thoughts', true, endOf.get(begun[0])!];
      held = held.slice(begun[0].length);
      return '';
    }
    if (marks.some(([begin]) => begin.startsWith(held.toLowerCase()))) return undefined;
    state = 'text';
    return take();
  }

  function take(): string {
    // After thoughts, what stands before the text is blank or a thought.
    const taken = isMarked ? held : before + held;
    [before, held] = ['', ''];
    return taken;
  }

  return {
    push(text: string): string {
      held += text;
      let visible = '';
      while (held) {
        const said = step();
        if (said === undefined) break;
        visible += said;
      }
      return visible;
    },
    /** What was held back, and has not become a mark. */
    end: () => (state === 'thoughts' ? '' : take()),
    isMarked: () => isMarked,
  };
}
