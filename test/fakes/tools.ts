import type { FakeVendor } from './wire.ts';

/** The four vendors' tool calls, from the server's side. */

type Json = Record<string, any>;

export type FakeTool = { name: string; description: string; json_schema: Json };
/**
 * A call that the fake model makes; it gives ids to those without, and Ollama has none. Arguments that are a string are
 * sent as they are, where the vendor sends text.
 */
export type FakeToolCall = { name: string; arguments: unknown; id?: string };
/** A call that the client reports back, with its result. */
export type ReportedCall = { id?: string; name: string; arguments: unknown; result?: string; is_error?: boolean };

export type DecodedTools = {
  tools: FakeTool[];
  /** `none`, or the name of the tool that must be called. */
  tool_choice: string | undefined;
  /** All calls of earlier turns. */
  calls: ReportedCall[];
};

export const argumentsText = (call: FakeToolCall) =>
  typeof call.arguments === 'string' ? call.arguments : JSON.stringify(call.arguments);

export const TOOL_DECODERS: Record<FakeVendor, (body: Json) => DecodedTools> = {
  openai: ({ tools, tool_choice, messages }) => ({
    tools: functions(tools),
    tool_choice: tool_choice?.function?.name ?? tool_choice,
    calls: withResults(
      (messages as Json[]).flatMap(({ tool_calls = [] }) =>
        tool_calls.map((call: Json) => ({
          id: call.id,
          name: call.function.name,
          arguments: JSON.parse(call.function.arguments),
        })),
      ),
      (messages as Json[])
        .filter(({ role }) => role === 'tool')
        .map(({ tool_call_id, content }) => ({ id: tool_call_id, ...errorOf(content) })),
    ),
  }),
  anthropic: ({ tools = [], tool_choice, messages }) => {
    const blocks: Json[] = (messages as Json[]).flatMap(({ content }) => (Array.isArray(content) ? content : []));
    return {
      tools: tools.map(({ name, description, input_schema }: Json) => ({
        name,
        description,
        json_schema: input_schema,
      })),
      tool_choice: tool_choice?.name ?? tool_choice?.type,
      calls: withResults(
        blocks.flatMap(({ type, id, name, input }) => (type === 'tool_use' ? [{ id, name, arguments: input }] : [])),
        blocks.flatMap(({ type, tool_use_id, content, is_error = false }) =>
          type === 'tool_result' ? [{ id: tool_use_id, result: content, is_error }] : [],
        ),
      ),
    };
  },
  gemini: ({ tools = [], toolConfig, contents }) => {
    const parts: Json[] = (contents as Json[]).flatMap((content) => content.parts);
    const mode = toolConfig?.functionCallingConfig?.mode;
    return {
      tools: tools.flatMap(({ functionDeclarations }: Json) =>
        functionDeclarations.map(({ name, description, parametersJsonSchema }: Json) => ({
          name,
          description,
          json_schema: parametersJsonSchema,
        })),
      ),
      tool_choice: mode === 'NONE' ? 'none' : toolConfig?.functionCallingConfig?.allowedFunctionNames?.[0],
      calls: withResults(
        parts.flatMap(({ functionCall: call }) =>
          call ? [{ id: call.id, name: call.name, arguments: call.args }] : [],
        ),
        parts.flatMap(({ functionResponse: answer }) => {
          if (!answer) return [];
          const { output, error } = answer.response;
          return [{ id: answer.id, result: output ?? error, is_error: error !== undefined }];
        }),
      ),
    };
  },
  ollama: ({ tools, messages }) => ({
    tools: functions(tools),
    tool_choice: undefined,
    calls: withResults(
      (messages as Json[]).flatMap(({ tool_calls = [] }) => tool_calls.map((call: Json) => call.function)),
      (messages as Json[]).filter(({ role }) => role === 'tool').map(({ content }) => errorOf(content)),
    ),
  }),
};

function functions(tools: Json[] = []): FakeTool[] {
  return tools.map(({ function: { name, description, parameters } }) => ({
    name,
    description,
    json_schema: parameters,
  }));
}

function errorOf(content: string) {
  const [is, text] = [content.startsWith('Error: '), content.replace(/^Error: /, '')];
  return { result: text, is_error: is };
}

function withResults(calls: ReportedCall[], results: { id?: string; result: string; is_error: boolean }[]) {
  return calls.map((call, index) => ({
    ...call,
    ...results.find(({ id }, at) => (id === undefined ? at === index : id === call.id)),
  }));
}
