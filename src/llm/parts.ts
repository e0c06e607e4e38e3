import { isObject } from './json.ts';

/** The content of a message on OpenAI's wire: a text, or a list of parts, as Mistral and gateways send it. */

/** Its text. Thoughts, references and images are none. */
export function textIn(content: unknown): string {
  return partsOf(content).map(textOfPart).join('');
}

/** The words of a refusal among the parts. */
export function refusalIn(content: unknown): string {
  return partsOf(content)
    .map((part) => (isObject(part) && typeof part.refusal === 'string' ? part.refusal : ''))
    .join('');
}

function partsOf(content: unknown): unknown[] {
  if (content === undefined || content === null) return [];
  return Array.isArray(content) ? content : [content];
}

function textOfPart(part: unknown): string {
  if (typeof part === 'string') return part;
  if (!isObject(part)) return '';
  const isText = part.type === undefined || part.type === 'text' || part.type === 'output_text';
  return isText && typeof part.text === 'string' ? part.text : '';
}
