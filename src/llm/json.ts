import { escapeMark, MARKS } from './thoughts.ts';

/**
 * The complete JSON values in what a model wrote, in their order: the whole text, or those that stand in it, fenced or in
 * prose, the outermost ones. What stands in thoughts is none, and neither is a part of a value that the end of the text
 * cuts off.
 *
 * Faults with one plain meaning are none: a comma too many, a comment at the end of a line, line breaks and stray
 * backslashes in strings, Python's words. `__proto__` keys are dropped, so that a value can be spread and assigned from;
 * strings lose what Postgres cannot store: NUL, and halves of surrogate pairs.
 */
export function jsonValues(text: string): unknown[] {
  try {
    return [JSON.parse(text.trim(), revive)];
  } catch {
    return valuesIn(text).found;
  }
}

/** Whether a text ends amid a value: what stands before it is not what was to be said. */
export function endsAmidValue(text: string): boolean {
  return valuesIn(text).isOpen;
}

/** For `JSON.parse`: without `__proto__`, and with texts that Postgres can store. */
export function revive(key: string, value: unknown): unknown {
  if (key === '__proto__') return undefined;
  return typeof value === 'string' ? value.replaceAll('\u0000', '').toWellFormed() : value;
}

/** An object or a list that is being read: what it holds so far, and what comes next. Instead of a member it may end. */
type Frame = {
  holds: unknown[] | Record<string, unknown>;
  end: string;
  key: string;
  next: 'member' | 'colon' | 'value' | 'comma';
};

type Token =
  | { kind: 'blank' | 'comma' | 'colon'; end: number }
  | { kind: 'start' | 'end'; end: number; bracket: string }
  | { kind: 'string'; end: number; value: string }
  | { kind: 'word'; end: number; value: unknown }
  | { kind: 'none'; end: number };

/** Nothing that is asked for is nested so deep, and who reads a value may call itself for each level. */
const maxDepth = 500;

/**
 * In one pass. Where a value turns out to be none, what was complete inside of it counts, and it goes on from there. A
 * quote that stands in prose makes a string of what comes after it: that string is then looked through as well.
 */
function valuesIn(text: string): { found: unknown[]; isOpen: boolean } {
  const lastLine = text.lastIndexOf('\n');
  const nextLandmark = readLandmarks(text);
  const frames: Frame[] = [];
  let found: unknown[] = [];
  let lastString: number | undefined;
  for (let at = 0; at < text.length;) {
    if (frames.length === 0) {
      const landmark = nextLandmark(at, found.length > 0);
      if (landmark.kind === 'end of thoughts') found = [];
      if (landmark.kind === 'bracket') frames.push(frameOf(landmark.bracket));
      at = landmark.end;
      continue;
    }
    const token = tokenAt(text, at, lastLine);
    if (take(frames, token, found)) {
      if (token.kind === 'string') lastString = at;
      if (token.kind === 'end') lastString = undefined;
      at = token.end;
    } else {
      for (const { holds } of frames.splice(0)) {
        for (const member of Object.values(holds)) if (isContainer(member)) found.push(member);
      }
      if (lastString !== undefined) at = lastString + 1;
      lastString = undefined;
    }
  }
  return { found, isOpen: frames.length > 0 };
}

/** Adds a token to what is being read, or to what was found. False where it may not stand. */
function take(frames: Frame[], token: Token, found: unknown[]): boolean {
  const frame = frames.at(-1)!;
  const isValueNext = frame.next === 'value' || (frame.next === 'member' && Array.isArray(frame.holds));
  switch (token.kind) {
    case 'blank':
      return true;
    case 'start':
      if (!isValueNext || frames.length === maxDepth) return false;
      frames.push(frameOf(token.bracket));
      return true;
    case 'end':
      if (token.bracket !== frame.end || (frame.next !== 'member' && frame.next !== 'comma')) return false;
      frames.pop();
      if (frames.length === 0) found.push(frame.holds);
      else put(frames.at(-1)!, frame.holds);
      return true;
    case 'string':
    case 'word':
      if (isValueNext) {
        put(frame, token.value);
        return true;
      }
      if (frame.next !== 'member' || token.kind !== 'string') return false;
      frame.key = token.value;
      frame.next = 'colon';
      return true;
    case 'colon':
      if (frame.next !== 'colon') return false;
      frame.next = 'value';
      return true;
    case 'comma':
      if (frame.next !== 'comma') return false;
      frame.next = 'member';
      return true;
    case 'none':
      return false;
  }
}

function frameOf(bracket: string): Frame {
  const isBrace = bracket === '{';
  return { holds: isBrace ? {} : [], end: isBrace ? '}' : ']', key: '', next: 'member' };
}

function put(frame: Frame, value: unknown): void {
  const { holds, key } = frame;
  if (Array.isArray(holds)) holds.push(value);
  else if (key !== '__proto__') holds[key] = value;
  frame.next = 'comma';
}

/** Whether a value is an object or a list. */
export function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** Whether a value is an object, and no list. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return isContainer(value) && !Array.isArray(value);
}

const anyOf = (marks: string[]) => marks.map(escapeMark).join('|');
const beginsThoughts = anyOf(MARKS.map(([begin]) => begin));
const endsThoughts = anyOf(MARKS.map(([, end]) => end));
const landmarks = new RegExp(`(${endsThoughts})|(${beginsThoughts})|[{[]`, 'gi');
const endOfThoughts = new RegExp(endsThoughts, 'gi');

type Landmark =
  { kind: 'bracket'; end: number; bracket: string } | { kind: 'thoughts' | 'end of thoughts'; end: number };

/**
 * Tells what comes next in prose from a place on: where a value may begin, thoughts that are passed over, or the end of such
 * without a beginning. Thoughts that are never ended begin a text or come after its value; else they are spoken of.
 */
function readLandmarks(text: string): (from: number, hasFound: boolean) => Landmark {
  const begin = text.search(/\S|$/);
  let hasEnd = true;
  return function next(from, hasFound) {
    landmarks.lastIndex = from;
    const match = landmarks.exec(text);
    if (!match) return { kind: 'thoughts', end: text.length };
    const [mark, ends, begins] = match;
    const end = landmarks.lastIndex;
    if (!ends && !begins) return { kind: 'bracket', end, bracket: mark };
    const isQuoted = quote.test(text[match.index - 1] ?? '') && quote.test(text[end] ?? '');
    if (isQuoted) return { kind: 'thoughts', end };
    if (ends) return { kind: 'end of thoughts', end };
    endOfThoughts.lastIndex = end;
    hasEnd &&= endOfThoughts.test(text);
    if (hasEnd) return { kind: 'thoughts', end: endOfThoughts.lastIndex };
    return { kind: 'thoughts', end: hasFound || match.index === begin ? text.length : end };
  };
}

const quote = /["'`“”«»]/;

const blank = /\s+/y;
const word = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?|true|false|null|none)(?![\w.])/iy;
const words: Record<string, unknown> = { true: true, false: false, null: null, none: null };

/** What stands at a place inside a value. A string that is never closed takes all that is left. */
function tokenAt(text: string, at: number, lastLine: number): Token {
  const char = text[at]!;
  if (char === '{' || char === '[') return { kind: 'start', end: at + 1, bracket: char };
  if (char === '}' || char === ']') return { kind: 'end', end: at + 1, bracket: char };
  if (char === ',') return { kind: 'comma', end: at + 1 };
  if (char === ':') return { kind: 'colon', end: at + 1 };
  if (char === '"') {
    const end = endOfString(text, at);
    return end === undefined
      ? { kind: 'blank', end: text.length }
      : { kind: 'string', end, value: readString(text.slice(at, end)) };
  }
  // Only where the line has an end, or each of many would be looked for to the end of the text.
  if (text.startsWith('//', at) && at < lastLine) return { kind: 'blank', end: text.indexOf('\n', at) };
  blank.lastIndex = at;
  if (blank.test(text)) return { kind: 'blank', end: blank.lastIndex };
  word.lastIndex = at;
  const [said] = word.exec(text) ?? [];
  if (said === undefined) return { kind: 'none', end: at };
  const value = said.toLowerCase() in words ? words[said.toLowerCase()] : Number(said);
  return { kind: 'word', end: at + said.length, value };
}

function endOfString(text: string, start: number): number | undefined {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') return at + 1;
  }
  return undefined;
}

/** A string with its quotes. A backslash that escapes nothing stands for itself, and so does a line break. */
function readString(quoted: string): string {
  const mended = quoted.replaceAll(/\\(?:["\\/bfnrt]|u[\da-f]{4})|\\|\p{Cc}/giu, (part) =>
    part.length > 1 ? part : JSON.stringify(part).slice(1, -1),
  );
  return JSON.parse(mended, revive) as string;
}
