import { z } from 'zod';
import { badAnswer, finished, readAnswer, readStream, truncated } from './answer.ts';
import { reportedError } from './failures.ts';
import { inputText, type ModelAnswer, type ModelRequest, type ModelTarget } from './model.ts';
import { strictSchema, withJsonModes, type JsonMode } from './structured.ts';
import { argumentsOf, functionTools, newCallId, resultText, toolCall } from './tools.ts';
import { count, mostTokensOf, usageOf } from './usage.ts';
import type { Wire } from './wire.ts';

const toolCalls = z.array(z.object({ function: z.object({ name: z.string(), arguments: z.unknown().optional() }) }));

const chat = z.object({
  model: z.string().optional(),
  message: z.object({ content: z.string(), tool_calls: toolCalls.nullish() }),
  done: z.boolean().optional(),
  done_reason: z.string().optional(),
  prompt_eval_count: count,
  eval_count: count,
});

/** An error may come in the middle of an answer. */
const failedChat = z.object({ error: z.string() });

/** Ollama's `/api/chat` (https://docs.ollama.com/api/chat). Versions before 0.5 know only `format: "json"`. */
export async function callOllama(target: ModelTarget, request: ModelRequest, wire: Wire): Promise<ModelAnswer> {
  const modes: JsonMode[] = ['schema', 'json', 'words'];
  return withJsonModes(modes, request, wire, (asked, mode) => ask(target, asked, mode, wire));
}

async function ask(target: ModelTarget, request: ModelRequest, mode: JsonMode, wire: Wire): Promise<ModelAnswer> {
  const base_url = (target.base_url || 'http://localhost:11434').replace(/\/+$/, '');
  const send = wire.sending({ authorization: target.api_key && `Bearer ${target.api_key}` });
  const response = await send(`${base_url}/api/chat`, {
    method: 'POST',
    signal: wire.signal,
    body: JSON.stringify({
      model: target.model,
      stream: wire.on_delta !== undefined,
      messages: messagesOf(request),
      options: { num_predict: request.max_output_tokens, num_ctx: contextSize(request) },
      ...formatOf(request, mode),
      ...toolsOf(request),
    }),
  });
  return fromChat(target, request, wire.on_delta ? await gather(target, response, wire) : await response.json());
}

function messagesOf({ system, prompt, tool_choice, turns = [] }: ModelRequest) {
  // Ollama has no way to force a call.
  const force = typeof tool_choice === 'object' ? `\n\nAnswer with a call of the tool ${tool_choice.name}.` : '';
  return [
    { role: 'system', content: system + force },
    { role: 'user', content: prompt },
    ...turns.flatMap(({ text, calls, results }) => [
      {
        role: 'assistant',
        content: text,
        tool_calls: calls.map((call) => ({ function: { name: call.name, arguments: argumentsOf(call) } })),
      },
      ...results.map((result, index) => ({
        role: 'tool',
        tool_name: calls[index]!.name,
        content: resultText(result),
      })),
    ]),
  ];
}

function toolsOf({ tools = [], tool_choice }: ModelRequest) {
  if (tool_choice === 'none' || !tools.length) return {};
  const choice = tool_choice && tools.filter(({ name }) => name === tool_choice.name);
  return { tools: functionTools(choice ?? tools) };
}

/** The answer that a stream adds up to: its text and calls in order; all else as the last line has it. */
async function gather(target: ModelTarget, response: Response, wire: Wire): Promise<unknown> {
  let content = '';
  const tool_calls: z.infer<typeof toolCalls> = [];
  let last: z.infer<typeof chat> | undefined;
  for await (const line of readStream(target, chat, readLines(target, response))) {
    if (line.message.content) wire.on_delta?.(line.message.content);
    content += line.message.content;
    tool_calls.push(...(line.message.tool_calls ?? []));
    last = line;
  }
  return { ...last, message: { content, tool_calls } };
}

/** The JSON values of an answer, one a line. An error may come as one of them. */
async function* readLines(target: ModelTarget, { body }: Response): AsyncGenerator<unknown> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const bytes of body ?? []) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
    rest = lines.pop()!;
    for (const line of lines) if (line.trim()) yield readLine(target, line);
  }
  if (rest.trim()) yield readLine(target, rest);
}

function readLine(target: ModelTarget, line: string): unknown {
  const value: unknown = JSON.parse(line);
  if (failedChat.safeParse(value).success) throw reportedError(target, value);
  return value;
}

function formatOf({ schema }: ModelRequest, mode: JsonMode) {
  if (!schema || mode === 'words') return {};
  return { format: mode === 'json' ? 'json' : strictSchema(schema.json_schema) };
}

/**
 * Ollama cuts a prompt that does not fit without a word, so room is asked for, with some to spare. In powers of two,
 * because every new size makes it load the model again.
 */
function contextSize(request: ModelRequest): number {
  const needed = mostTokensOf(inputText(request)) + request.max_output_tokens;
  return Math.min(131_072, Math.max(8192, 2 ** Math.ceil(Math.log2(needed))));
}

function fromChat(target: ModelTarget, request: ModelRequest, body: unknown): ModelAnswer {
  const { model, message, done, done_reason, prompt_eval_count, eval_count } = readAnswer(target, chat, body);
  if (!done) throw truncated(target);
  if (done_reason === 'load' || done_reason === 'unload') throw badAnswer(target, `only did a model ${done_reason}`);
  const said = {
    text: message.content,
    tool_calls: (message.tool_calls ?? []).map(({ function: called }, index) =>
      toolCall(called, newCallId(request.turns, index)),
    ),
  };
  return finished(target, {
    ...said,
    model: model ?? target.model,
    finish: done_reason === 'length' ? 'length' : 'stop',
    ...usageOf(request, said, { input: prompt_eval_count, output: eval_count }),
  });
}
