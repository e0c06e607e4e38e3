/** What servers say of an error, in whatever shape: the words for people in it. */

/** Where words stand, and where objects and lists with words do; also a vendor's own body, as OpenRouter hands it on. */
const FIELDS = [
  'error',
  'errors',
  'title',
  'message',
  'msg',
  'detail',
  'error_description',
  'description',
  'param',
  'metadata',
  'raw',
];
const maxDepth = 6;
const maxItems = 10;
const maxLength = 2_000;

/** The words of a body that is parsed already: all that are not in others, the first `maxLength` characters. */
export function wordsIn(value: unknown): string {
  return join(collect(value, 0), ': ').slice(0, maxLength);
}

function collect(value: unknown, depth: number): string[] {
  if (typeof value === 'string') return fromText(value, depth);
  if (typeof value !== 'object' || value === null || depth > maxDepth) return [];
  if (Array.isArray(value)) {
    const items = value.slice(0, maxItems).map((item) => join(collect(item, depth + 1), ': '));
    return [join(items, '; ')];
  }
  const fields = value as Record<string, unknown>;
  return [placeOf(fields.loc), ...FIELDS.flatMap((field) => collect(fields[field], depth + 1))];
}

/** A page of HTML from a proxy says nothing that its status does not. A text may be the JSON of another server. */
function fromText(text: string, depth: number): string[] {
  const start = text.trimStart().slice(0, 1);
  if (start === '<') return [];
  if (start !== '{' && start !== '[') return [text.slice(0, maxLength)];
  try {
    return collect(JSON.parse(text), depth + 1);
  } catch {
    return [text.slice(0, maxLength)];
  }
}

/** FastAPI, and with it vLLM and Mistral, says which field it is about in a list: `["body", "stream_options"]`. */
function placeOf(loc: unknown): string {
  if (!Array.isArray(loc)) return '';
  const steps = loc.slice(0, maxItems).filter((step) => typeof step !== 'object' && step !== 'body');
  return steps.join('.').slice(0, maxLength);
}

function join(words: string[], separator: string): string {
  const said: string[] = [];
  for (const word of words) if (word.trim() && !said.some((other) => other.includes(word))) said.push(word);
  return said.join(separator).slice(0, maxLength);
}
