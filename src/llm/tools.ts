import { isObject, revive } from './json.ts';
import type { ToolCall, ToolDefinition, ToolTurn } from './model.ts';

/** What the vendor files share when a model calls tools. */

/** Arguments may be as long as an answer; beyond that they are cut, and no JSON any more. In characters. */
const maxArguments = 256 * 1024;
const maxMetadata = 256 * 1024;
const maxName = 200;

/** A call as vendors report it: its arguments as text, or parsed. */
type ReportedCall = {
  id?: string | null;
  name: string;
  arguments?: unknown;
  signature?: string;
  vendor_metadata?: Record<string, unknown>;
};

/**
 * The calls of an answer. Each id stands once in the whole conversation: servers give one for several calls, or again in
 * a later turn, and refuse that themselves. Those without a fit one get one that is made.
 */
export function toolCalls(calls: ReportedCall[], turns: ToolTurn[] = []): ToolCall[] {
  const taken = new Set(turns.flatMap((turn) => turn.calls.map(({ id }) => id)));
  return calls.map((call, index) => {
    const given = storable(call.id ?? '');
    const id = given && given.length <= maxName && !taken.has(given) ? given : madeCallId(turns.length, index);
    taken.add(id);
    return toolCall(call, id);
  });
}

function toolCall(call: ReportedCall, id: string): ToolCall {
  const { arguments: given = {}, signature, vendor_metadata } = call;
  const text = typeof given === 'string' ? given : JSON.stringify(given);
  return {
    id,
    name: storable(call.name).slice(0, maxName),
    arguments: storable(text.slice(0, maxArguments)),
    ...(signature && { signature: storable(signature) }),
    ...fitMetadata(vendor_metadata),
  };
}

/** A part of it would be refused, so it is kept whole or not at all. */
function fitMetadata(vendor_metadata: ReportedCall['vendor_metadata']): Pick<ToolCall, 'vendor_metadata'> {
  const text = JSON.stringify(vendor_metadata ?? {});
  if (text === '{}' || text.length > maxMetadata) return {};
  return { vendor_metadata: JSON.parse(text, revive) as Record<string, unknown> };
}

function storable(text: string): string {
  return text.replaceAll('\u0000', '').toWellFormed();
}

/** An id that every vendor takes: Mistral wants nine letters and digits. `turn` and `index` count from 0. */
export function madeCallId(turn: number, index: number): string {
  return `c${[turn, index].map((number) => number.toString(36).padStart(4, '0')).join('')}`;
}

/**
 * The arguments of a call, an object; none at all are an empty one.
 *
 * @throws SyntaxError with a message that can be shown to the model.
 */
export function parseToolArguments(text: string): Record<string, unknown> {
  if (!text.trim()) return {};
  const value: unknown = JSON.parse(text, revive);
  if (!isObject(value)) throw new SyntaxError('The arguments must be a JSON object.');
  return value;
}

/** For vendors that take arguments as objects, and for servers that refuse what is no JSON; its result says what was wrong. */
export function argumentsOf(call: ToolCall): Record<string, unknown> {
  try {
    return parseToolArguments(call.arguments);
  } catch {
    return {};
  }
}

/** The text of a result, for vendors without a field that says that it is an error. */
export function resultText({ text, is_error }: ToolTurn['results'][number]): string {
  return is_error ? `Error: ${text}` : text;
}

/** The tools as OpenAI and Ollama are told of them. */
export function functionTools(tools: ToolDefinition[]) {
  return tools.map(({ name, description, json_schema }) => ({
    type: 'function' as const,
    function: { name, description, parameters: json_schema },
  }));
}
