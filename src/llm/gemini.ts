import {
  FunctionCallingConfigMode,
  GoogleGenAI,
  type Content,
  type GenerateContentConfig,
  type GenerateContentParameters,
} from '@google/genai';
import { z } from 'zod';
import { badAnswer, finished, readAnswer, readStream, refused, truncated } from './answer.ts';
import { LlmError, type ModelAnswer, type ModelRequest, type ModelTarget } from './model.ts';
import { strictSchema, withJsonModes, type JsonMode } from './structured.ts';
import { argumentsOf, newCallId, toolCall } from './tools.ts';
import { count, countsOf, risen, usageOf, type Counted } from './usage.ts';
import type { Wire } from './wire.ts';

const part = z.object({
  text: z.string().optional(),
  thought: z.boolean().optional(),
  functionCall: z.object({ id: z.string().optional(), name: z.string(), args: z.unknown().optional() }).optional(),
  thoughtSignature: z.string().optional(),
});

const content = z.object({
  candidates: z
    .array(
      z.object({
        content: z
          .object({
            parts: z.array(part).optional(),
          })
          .optional(),
        finishReason: z.string().optional(),
      }),
    )
    .optional(),
  promptFeedback: z.object({ blockReason: z.string().optional() }).optional(),
  usageMetadata: countsOf({
    promptTokenCount: count,
    toolUsePromptTokenCount: count,
    candidatesTokenCount: count,
    thoughtsTokenCount: count,
    totalTokenCount: count,
  }),
  modelVersion: z.string().optional(),
});

/** Gemini's generateContent, on the Gemini API (never Vertex AI). */
export async function callGemini(target: ModelTarget, request: ModelRequest, wire: Wire): Promise<ModelAnswer> {
  // The name becomes a part of the URL.
  if (!/^[\w.:/@-]+$/.test(target.model) || target.model.includes('..')) {
    throw new LlmError('LlmBadRequest', 'This is not the name of a Gemini model.');
  }
  const modes: JsonMode[] = ['schema', 'json', 'words'];
  return withJsonModes(modes, request, wire, (asked, mode) => generate(target, asked, mode, wire));
}

async function generate(target: ModelTarget, request: ModelRequest, mode: JsonMode, wire: Wire): Promise<ModelAnswer> {
  const client = new GoogleGenAI({
    apiKey: target.api_key || 'none',
    vertexai: false,
    // Without retryOptions it asks once; an empty one would ask five times.
    httpOptions: {
      baseUrl: target.base_url || 'https://generativelanguage.googleapis.com',
      apiVersion: 'v1beta',
      fetch: wire.sending({ 'x-goog-api-key': target.api_key }),
    },
  });
  const asked: GenerateContentParameters = {
    model: target.model,
    contents: contentsOf(request),
    config: {
      systemInstruction: request.system,
      maxOutputTokens: request.max_output_tokens,
      abortSignal: wire.signal,
      ...responseFormat(request, mode),
      ...toolsOf(request),
    },
  };
  const body: unknown = wire.on_delta
    ? await gather(target, await client.models.generateContentStream(asked), wire)
    : await client.models.generateContent(asked);
  return fromContent(target, request, body);
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
          parametersJsonSchema: knownSchema(json_schema),
        })),
      },
    ],
    ...(tool_choice && { toolConfig: { functionCallingConfig } }),
  };
}

const KEYWORDS = new Set(
  (
    'type description title enum format items prefixItems minItems maxItems minimum maximum anyOf oneOf properties ' +
    'additionalProperties required $ref $defs'
  ).split(' '),
);

/** The schema without keywords that Gemini does not know; whoever runs the tool checks its arguments. */
function knownSchema(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(knownSchema);
  if (typeof schema !== 'object' || schema === null) return schema;
  const known = Object.entries(schema).filter(([keyword]) => KEYWORDS.has(keyword));
  return Object.fromEntries(
    known.map(([keyword, value]) => {
      const isNamed = (keyword === 'properties' || keyword === '$defs') && typeof value === 'object';
      if (!isNamed) return [keyword, keyword === 'enum' ? value : knownSchema(value)];
      return [keyword, Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, knownSchema(inner)]))];
    }),
  );
}

/** The answer that a stream adds up to: its parts in order; all else as the last chunk has it. */
async function gather(target: ModelTarget, stream: AsyncIterable<unknown>, wire: Wire): Promise<unknown> {
  const parts: z.infer<typeof part>[] = [];
  let whole: z.infer<typeof content> = {};
  let finishReason: string | undefined;
  for await (const chunk of readStream(target, content, stream)) {
    const [candidate] = chunk.candidates ?? [];
    for (const said of candidate?.content?.parts ?? []) {
      if (said.text && !said.thought) wire.on_delta?.(said.text);
      parts.push(said);
    }
    finishReason = candidate?.finishReason ?? finishReason;
    whole = { ...whole, ...chunk, usageMetadata: risen(whole.usageMetadata, chunk.usageMetadata) };
  }
  return { ...whole, candidates: [{ content: { parts }, finishReason }] };
}

function responseFormat({ schema }: ModelRequest, mode: JsonMode) {
  if (!schema || mode === 'words') return {};
  const json = { responseMimeType: 'application/json' };
  return mode === 'json' ? json : { ...json, responseJsonSchema: strictSchema(schema.json_schema) };
}

const REFUSAL = /SAFETY|RECITATION|LANGUAGE|BLOCKLIST|PROHIBITED_CONTENT|SPII|MODEL_ARMOR|JAILBREAK/;

function fromContent(target: ModelTarget, request: ModelRequest, body: unknown): ModelAnswer {
  const { candidates, promptFeedback, usageMetadata, modelVersion } = readAnswer(target, content, body);
  if (promptFeedback?.blockReason) throw refused(target, `the prompt was blocked (${promptFeedback.blockReason})`);
  const candidate = candidates?.[0];
  if (!candidate) throw badAnswer(target, 'sent no candidate');
  const { finishReason } = candidate;
  if (!finishReason) throw truncated(target);
  if (REFUSAL.test(finishReason)) throw refused(target, finishReason);
  if (finishReason !== 'STOP' && finishReason !== 'MAX_TOKENS') throw badAnswer(target, `ended with ${finishReason}`);
  const parts = candidate.content?.parts ?? [];
  const said = {
    text: parts.map(({ text, thought }) => (thought ? '' : (text ?? ''))).join(''),
    tool_calls: parts
      .flatMap(({ functionCall: call, thoughtSignature }) => (call ? [{ ...call, signature: thoughtSignature }] : []))
      .map(({ args, ...call }, index) => toolCall({ ...call, arguments: args }, newCallId(request.turns, index))),
  };
  return finished(target, {
    ...said,
    model: modelVersion ?? target.model,
    finish: finishReason === 'MAX_TOKENS' ? 'length' : 'stop',
    ...usageOf(request, said, countedIn(usageMetadata)),
  });
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
