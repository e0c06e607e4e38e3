import { revive } from './json.ts';
import type { ToolCall, ToolDefinition, ToolTurn } from './model.ts';

/** What the vendor files share when a model calls tools. */

/** Arguments may be as long as an answer; beyond that they are cut, and no JSON any more. In characters. */
const maxArguments = 256 * 1024;

/** A call as vendors report it: its arguments as text, or parsed; an id for those who give none. */
export function toolCall(
  call: { id?: string | null; name: string; arguments?: unknown; signature?: string },
  made_id: string,
): ToolCall {
  const text = typeof call.arguments === 'string' ? call.arguments : JSON.stringify(call.arguments ?? {});
  return {
    id: storable(call.id || made_id).slice(0, 200),
    name: storable(call.name).slice(0, 200),
    arguments: storable(text.slice(0, maxArguments)),
    ...(call.signature && { signature: storable(call.signature) }),
  };
}

function storable(text: string): string {
  return text.replaceAll('\u0000', '').toWellFormed();
}

/** An id for the call at `index` of the turn after these. */
export function newCallId(turns: ToolTurn[] | undefined, index: number): string {
  return `call_${(turns?.length ?? 0) + 1}_${index + 1}`;
}

/**
 * The arguments of a call, an object; none at all are an empty one.
 *
 * @throws SyntaxError with a message that can be shown to the model.
 */
export function parseToolArguments(text: string): Record<string, unknown> {
  if (!text.trim()) return {};
  const value: unknown = JSON.parse(text, revive);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new SyntaxError('The arguments must be a JSON object.');
  }
  return value as Record<string, unknown>;
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
