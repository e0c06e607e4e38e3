import { z } from 'zod';
import { badAnswer, readAnswer, truncated } from './answer.ts';
import type { Dialect } from './dialect.ts';
import { finished } from './finish.ts';
import { inputText, type ModelAnswer, type ModelRequest, type ModelTarget } from './model.ts';
import { strictSchema } from './structured.ts';
import { argumentsOf, functionTools, resultText, toolCalls } from './tools.ts';
import { count, mostTokensOf } from './usage.ts';
import type { Wire } from './wire.ts';

const calls = z.array(z.object({ function: z.object({ name: z.string(), arguments: z.unknown().optional() }) }));

/** A whole answer, or a line of one. */
const chat = z.object({
  model: z.string().nullish(),
  message: z.object({ content: z.string().nullish(), tool_calls: calls.nullish() }).nullish(),
  done: z.boolean().nullish(),
  done_reason: z.string().nullish(),
  prompt_eval_count: count,
  eval_count: count,
});

/** Ollama's `/api/chat` (https://docs.ollama.com/api/chat). Versions before 0.5 know only `format: "json"`. */
export async function callOllama(
  target: ModelTarget,
  request: ModelRequest,
  dialect: Dialect,
  wire: Wire,
): Promise<ModelAnswer> {
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
      ...formatOf(request, dialect),
      ...(request.tools?.length && { tools: functionTools(request.tools) }),
    }),
  });
  return readChat(target, request, response, wire);
}

function messagesOf({ system, prompt, turns = [] }: ModelRequest) {
  return [
    ...(system ? [{ role: 'system', content: system }] : []),
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

function formatOf({ schema }: ModelRequest, { json }: Dialect) {
  return schema && { format: json === 'json' ? 'json' : strictSchema(schema.json_schema) };
}

/**
 * Ollama cuts a prompt that does not fit without a word, so room is asked for, with some to spare. In powers of two,
 * because every new size makes it load the model again.
 */
function contextSize(request: ModelRequest): number {
  const needed = mostTokensOf(inputText(request)) + request.max_output_tokens;
  return Math.min(131_072, Math.max(8192, 2 ** Math.ceil(Math.log2(needed))));
}

/** Puts a whole answer, or the lines of one, together and checks it. */
async function readChat(
  target: ModelTarget,
  request: ModelRequest,
  response: Response,
  wire: Wire,
): Promise<ModelAnswer> {
  let text = '';
  const called: z.infer<typeof calls> = [];
  let last: z.infer<typeof chat> = {};
  for await (const line of readAnswer(target, chat, response)) {
    const { content, tool_calls } = line.message ?? {};
    if (content) wire.on_delta?.(content);
    wire.hear(content, ...(tool_calls ?? []).map((call) => call.function.arguments));
    text += content ?? '';
    called.push(...(tool_calls ?? []));
    last = line;
  }
  const { model, done, done_reason, prompt_eval_count, eval_count } = last;
  if (!done && !text && !called.length) throw badAnswer(target, 'sent something that is not an answer');
  if (!done) throw truncated(target);
  if (done_reason === 'load' || done_reason === 'unload') throw badAnswer(target, `only did a model ${done_reason}`);
  // Old versions give no reason.
  const said = {
    text,
    tool_calls: toolCalls(
      called.map((call) => call.function),
      request.turns,
    ),
    model: model ?? target.model,
  };
  return finished(target, request, done_reason || 'stop', said, { input: prompt_eval_count, output: eval_count });
}
