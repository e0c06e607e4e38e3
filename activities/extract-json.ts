/**
 * The JSON values in a text: the text itself when it is one, else those in fenced blocks, else the objects and lists
 * that stand in the prose.
 */
export function jsonIn(text: string): unknown[] {
  const whole = parsed(text);
  if (whole.length > 0) return whole;
  const fenced = [...text.matchAll(/```[\w-]*\s*\n([\s\S]*?)```/g)].flatMap(([, inner]) => parsed(inner!));
  return fenced.length > 0 ? fenced : balanced(text);
}

function parsed(text: string): unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? [value] : [];
  } catch {
    return [];
  }
}

const maxTries = 1_000;

/** Every `{…}` and `[…]` that parses, the outermost ones. */
function balanced(text: string): unknown[] {
  const found: unknown[] = [];
  let tries = 0;
  for (let start = 0; start < text.length && tries < maxTries; start += 1) {
    if (text[start] !== '{' && text[start] !== '[') continue;
    tries += 1;
    const end = endOf(text, start);
    const [value] = end === undefined ? [] : parsed(text.slice(start, end));
    if (value === undefined) continue;
    found.push(value);
    start = end! - 1;
  }
  return found;
}

/** Where the bracket that opens here is closed, leaving out those inside strings. */
function endOf(text: string, start: number): number | undefined {
  let depth = 0;
  let inString = false;
  for (let at = start; at < text.length; at += 1) {
    const character = text[at];
    if (inString) {
      if (character === '\\') at += 1;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === '{' || character === '[') depth += 1;
    else if ((character === '}' || character === ']') && --depth === 0) return at + 1;
  }
  return undefined;
}
