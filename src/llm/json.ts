/**
 * The JSON value in a model's answer: the whole text, else a fenced block, else the first balanced object or array.
 * `__proto__` keys are dropped, so that the value can be spread and assigned from; strings lose what Postgres cannot
 * store: NUL, and halves of surrogate pairs.
 *
 * @throws SyntaxError with a message that can be shown to the model.
 */
export function parseJsonAnswer(text: string): unknown {
  const trimmed = text.trim();
  if (!trimmed) throw new SyntaxError('The answer is empty; expected JSON.');
  const fenced = [...trimmed.matchAll(/```[a-z]*[ \t]*\r?\n([\s\S]*?)```/gi)].map((match) => match[1]!);
  for (const candidate of [trimmed, ...fenced, ...balanced(trimmed)]) {
    try {
      return JSON.parse(candidate, revive);
    } catch {
      // Not this part; the next one may be JSON.
    }
  }
  throw new SyntaxError('The answer is not valid JSON.');
}

/** For `JSON.parse`: without `__proto__`, and with texts that Postgres can store. */
export function revive(key: string, value: unknown): unknown {
  if (key === '__proto__') return undefined;
  return typeof value === 'string' ? value.replaceAll('\u0000', '').toWellFormed() : value;
}

/** How many places in a text may be tried as a start: a text of a million brackets must not cost a million scans. */
const MAX_STARTS = 20;

function* balanced(text: string): Generator<string> {
  let starts = 0;
  for (let at = text.search(/[{[]/); at >= 0 && starts < MAX_STARTS; starts += 1) {
    const end = endOf(text, at);
    if (end) yield text.slice(at, end);
    const next = text.slice(end ?? at + 1).search(/[{[]/);
    at = next < 0 ? -1 : (end ?? at + 1) + next;
  }
}

/** Where the bracket that opens at `start` is closed, brackets inside strings not counted; undefined if it never is. */
function endOf(text: string, start: number): number | undefined {
  const open: string[] = [];
  let inString = false;
  for (let at = start; at < text.length; at += 1) {
    const char = text[at]!;
    if (inString) {
      if (char === '\\') at += 1;
      else if (char === '"') inString = false;
    } else if (char === '"') inString = true;
    else if (char === '{' || char === '[') open.push(char === '{' ? '}' : ']');
    else if (char === '}' || char === ']') {
      if (open.pop() !== char) return undefined;
      if (!open.length) return at + 1;
    }
  }
  return undefined;
}
