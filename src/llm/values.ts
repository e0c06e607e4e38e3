import { reportedError } from './failures.ts';
import type { ModelTarget } from './model.ts';

/**
 * The JSON values of an answer's body, one after another as they come: of server-sent events, with or without `event:`
 * lines; of JSON lines; or of plain JSON, which some servers send whatever they were asked for. What is there decides:
 * `content-type` does not always say so.
 *
 * @throws LlmError for an error that the server reports among them, SyntaxError for what is no JSON.
 */
export async function* readValues(target: ModelTarget, response: Response): AsyncGenerator<unknown> {
  for await (const { event, value } of readEvents(readLines(response))) {
    for (const one of Array.isArray(value) ? (value as unknown[]) : [value]) {
      if (event === 'error' || isError(one)) throw reportedError(target, one);
      yield one;
    }
  }
}

/** OpenRouter and others answer 200 and then say that it failed, at once or amid their answer. */
function isError(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || !('error' in value)) return false;
  const { error } = value;
  return typeof error === 'string' ? error !== '' : typeof error === 'object' && error !== null;
}

/** The value of a line that is JSON by itself, as nearly all are; else of all lines that belong together. */
async function* readEvents(lines: AsyncIterable<string>): AsyncGenerator<{ event?: string; value: unknown }> {
  let event: string | undefined;
  let data: string[] = [];
  /** Of plain JSON on several lines, which has no end before that of the body. */
  let plain: string[] | undefined;
  let isDone = false;
  for await (const line of lines) {
    const [, field, text = ''] = /^(data|event): ?(.*)$/.exec(line) ?? [];
    isDone ||= field === 'data' && text.trim() === '[DONE]';
    // What follows is read all the same, so that the connection can be used again.
    if (isDone) continue;
    const alone = data.length || plain ? undefined : valueOf(field === 'data' ? text : line);
    if (alone) yield { event, ...alone };
    else if (plain) plain.push(line);
    else if (field === 'event') event = text.trim();
    else if (field === 'data') data.push(text);
    else if (/^\s*[{[]/.test(line)) plain = [line];
    else if (!line.trim()) {
      if (isTold(data)) yield { event, value: JSON.parse(data.join('\n')) };
      [event, data] = [undefined, []];
    }
  }
  // The last event may lack the empty line after it.
  if (isTold(data)) yield { event, value: JSON.parse(data.join('\n')) };
  if (plain) yield { value: JSON.parse(plain.join('\n')) };
}

/** An event without data only keeps the connection open. */
function isTold(data: string[]): boolean {
  return data.some((line) => line.trim());
}

function valueOf(line: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(line) };
  } catch {
    return undefined;
  }
}

/** Looks at each piece of the body once, however long a line is. */
async function* readLines({ body }: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let begun: string[] = [];
  for await (const bytes of body ?? []) {
    const [first = '', ...rest] = decoder.decode(bytes, { stream: true }).split('\n');
    begun.push(first);
    for (const next of rest) {
      yield begun.join('').replace(/\r$/, '');
      begun = [next];
    }
  }
  yield begun.join('') + decoder.decode();
}
