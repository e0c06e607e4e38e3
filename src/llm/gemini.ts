import {
  FunctionCallingConfigMode,
  GoogleGenAI,
  type Content,
  type GenerateContentConfig,
  type GenerateContentParameters,
} from '@google/genai';
import { z } from 'zod';
import { badAnswer, readAnswer, refused } from './answer.ts';
import type { Dialect } from './dialect.ts';
import { finished } from './finish.ts';
import { LlmError, type ModelAnswer, type ModelRequest, type ModelTarget } from './model.ts';
import { strictSchema } from './structured.ts';
import { argumentsOf, toolCalls } from './tools.ts';
import { count, countsOf, risen, type Counted } from './usage.ts';
import type { Wire } from './wire.ts';

const part = z.object({
  text: z.string().nullish(),
  thought: z.boolean().nullish(),
  functionCall: z.object({ id: z.string().nullish(), name: z.string(), args: z.unknown().optional() }).nullish(),
  thoughtSignature: z.string().nullish(),
});
type Part = z.infer<typeof part>;

/** A whole answer, or a chunk of one. */
const content = z.object({
  candidates: z
    .array(
      z.object({
        content: z.object({ parts: z.array(part).nullish() }).nullish(),
        finishReason: z.string().nullish(),
      }),
    )
    .nullish(),
  promptFeedback: z.object({ blockReason: z.string().nullish() }).nullish(),
  usageMetadata: countsOf({
    promptTokenCount: count,
    toolUsePromptTokenCount: count,
    candidatesTokenCount: count,
    thoughtsTokenCount: count,
    totalTokenCount: count,
  }),
  modelVersion: z.string().nullish(),
});

/** Gemini's generateContent, on the Gemini API (never Vertex AI). */
export async function callGemini(
  target: ModelTarget,
  request: ModelRequest,
  dialect: Dialect,
  wire: Wire,
): Promise<ModelAnswer> {
  const { client, answer } = openGemini(target, wire);
  const asked: GenerateContentParameters = {
    model: target.model,
    contents: contentsOf(request),
    config: {
      ...(request.system && { systemInstruction: request.system }),
      maxOutputTokens: request.max_output_tokens,
      abortSignal: wire.signal,
      ...responseFormat(request, dialect),
      ...toolsOf(request),
    },
  };
  if (wire.on_delta) await client.models.generateContentStream(asked);
  else await client.models.generateContent(asked);
  return readContent(target, request, answer(), wire);
}

/** The SDK's client of a model, which asks once, and the answer to what it has asked: the SDK itself reads nothing of that. */
export function openGemini({ model, api_key, base_url }: Omit<ModelTarget, 'vendor'>, wire: Wire) {
  // The name becomes a part of the URL.
  if (!/^[\w.:/@-]+$/.test(model) || model.includes('..')) {
    throw new LlmError('LlmBadRequest', 'This is not the name of a Gemini model.');
  }
  const send = wire.sending({ 'x-goog-api-key': api_key });
  let response = new Response();
  const client = new GoogleGenAI({
    apiKey: api_key || 'none',
    vertexai: false,
    // Without retryOptions it asks once; an empty one would ask five times.
    httpOptions: {
      baseUrl: base_url || 'https://generativelanguage.googleapis.com',
      apiVersion: 'v1beta',
      async fetch(url, init) {
        response = await send(url, init);
        // The SDK's own reader takes no plain JSON for a stream, and needs an empty line after the last event.
        return new Response('{}');
      },
    },
  });
  return { client, answer: () => response };
}

function contentsOf({ prompt, turns = [] }: ModelRequest): Content[] {
  return [
    { role: 'user', parts: [{ text: prompt }] },
    ...turns.flatMap(({ text, calls, results }) => [
      {
        role: 'model',
        parts: [
          ...(text ? [{ text }] : []),
          ...calls.map((call) => ({
            functionCall: { id: call.id, name: call.name, args: argumentsOf(call) },
            ...(call.signature && { thoughtSignature: call.signature }),
          })),
        ],
      },
      {
        role: 'user',
        parts: results.map((result, index) => {
          const { id, name } = calls[index]!;
          return { functionResponse: { id, name, response: { [result.is_error ? 'error' : 'output']: result.text } } };
        }),
      },
    ]),
  ];
}

function toolsOf({ tools, tool_choice }: ModelRequest): GenerateContentConfig {
  if (!tools?.length) return {};
  const { ANY, NONE } = FunctionCallingConfigMode;
  const functionCallingConfig =
    typeof tool_choice === 'object' ? { mode: ANY, allowedFunctionNames: [tool_choice.name] } : { mode: NONE };
  return {
    tools: [
      {
        functionDeclarations: tools.map(({ name, description, json_schema }) => ({
          name,
          description,
          parametersJsonSchema: json_schema,
        })),
      },
    ],
    ...(tool_choice && { toolConfig: { functionCallingConfig } }),
  };
}

function responseFormat({ schema }: ModelRequest, { json }: Dialect) {
  if (!schema) return {};
  const asJson = { responseMimeType: 'application/json' };
  return json === 'json' ? asJson : { ...asJson, responseJsonSchema: strictSchema(schema.json_schema) };
}

/** Puts a whole answer, or the chunks of one, together and checks it. */
async function readContent(
  target: ModelTarget,
  request: ModelRequest,
  response: Response,
  wire: Wire,
): Promise<ModelAnswer> {
  const parts: Part[] = [];
  let finishReason: string | undefined;
  let whole: z.infer<typeof content> = {};
  for await (const chunk of readAnswer(target, content, response)) {
    const [candidate] = chunk.candidates ?? [];
    for (const said of candidate?.content?.parts ?? []) {
      if (said.text && !said.thought) wire.on_delta?.(said.text);
      wire.hear(said.text, said.functionCall?.args);
      parts.push(said);
    }
    finishReason = candidate?.finishReason || finishReason;
    const usageMetadata = risen(whole.usageMetadata, chunk.usageMetadata);
    whole = { ...whole, ...chunk, candidates: candidate ? chunk.candidates : whole.candidates, usageMetadata };
  }
  const { candidates, promptFeedback, usageMetadata, modelVersion } = whole;
  if (promptFeedback?.blockReason) throw refused(target, `the prompt was blocked (${promptFeedback.blockReason})`);
  if (!candidates) throw badAnswer(target, 'sent no candidate');
  const said = {
    text: parts.map(({ text, thought }) => (thought ? '' : (text ?? ''))).join(''),
    tool_calls: toolCalls(callsIn(parts), request.turns),
    model: modelVersion ?? target.model,
  };
  return finished(target, request, finishReason, said, countedIn(usageMetadata));
}

/** Thoughts are billed as output, and stand beside it. */
function countedIn(usage: z.infer<typeof content>['usageMetadata']): Counted {
  const {
    promptTokenCount = 0,
    toolUsePromptTokenCount = 0,
    candidatesTokenCount,
    thoughtsTokenCount = 0,
  } = usage ?? {};
  return {
    input: promptTokenCount && promptTokenCount + toolUsePromptTokenCount,
    output: candidatesTokenCount && candidatesTokenCount + thoughtsTokenCount,
    reasoning: thoughtsTokenCount,
    total: usage?.totalTokenCount,
  };
}

function callsIn(parts: Part[]) {
  return parts.flatMap(({ functionCall: call, thoughtSignature }) => {
    if (!call) return [];
    const { args, ...named } = call;
    return [{ ...named, arguments: args, ...(thoughtSignature && { signature: thoughtSignature }) }];
  });
}
