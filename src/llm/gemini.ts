import { GoogleGenAI } from '@google/genai';
import { z } from 'zod';
import { badAnswer, finished, readAnswer, refused, truncated } from './answer.ts';
import { LlmError, type ModelAnswer, type ModelRequest, type ModelTarget } from './model.ts';
import { strictSchema, withJsonModes, type JsonMode } from './structured.ts';
import type { Wire } from './wire.ts';

const content = z.object({
  candidates: z
    .array(
      z.object({
        content: z
          .object({
            parts: z.array(z.object({ text: z.string().optional(), thought: z.boolean().optional() })).optional(),
          })
          .optional(),
        finishReason: z.string().optional(),
      }),
    )
    .optional(),
  promptFeedback: z.object({ blockReason: z.string().optional() }).optional(),
  usageMetadata: z
    .object({
      promptTokenCount: z.number().default(0),
      candidatesTokenCount: z.number().default(0),
      thoughtsTokenCount: z.number().default(0),
    })
    .default({ promptTokenCount: 0, candidatesTokenCount: 0, thoughtsTokenCount: 0 }),
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
  const body = await client.models.generateContent({
    model: target.model,
    contents: request.prompt,
    config: {
      systemInstruction: request.system,
      maxOutputTokens: request.max_output_tokens,
      abortSignal: wire.signal,
      ...responseFormat(request, mode),
    },
  });
  return fromContent(target, body);
}

function responseFormat({ schema }: ModelRequest, mode: JsonMode) {
  if (!schema || mode === 'words') return {};
  const json = { responseMimeType: 'application/json' };
  return mode === 'json' ? json : { ...json, responseJsonSchema: strictSchema(schema.json_schema) };
}

const REFUSAL = /SAFETY|RECITATION|LANGUAGE|BLOCKLIST|PROHIBITED_CONTENT|SPII|MODEL_ARMOR|JAILBREAK/;

function fromContent(target: ModelTarget, body: unknown): ModelAnswer {
  const { candidates, promptFeedback, usageMetadata: usage, modelVersion } = readAnswer(target, content, body);
  if (promptFeedback?.blockReason) throw refused(target, `the prompt was blocked (${promptFeedback.blockReason})`);
  const candidate = candidates?.[0];
  if (!candidate) throw badAnswer(target, 'sent no candidate');
  const { finishReason } = candidate;
  if (!finishReason) throw truncated(target);
  if (REFUSAL.test(finishReason)) throw refused(target, finishReason);
  if (finishReason !== 'STOP' && finishReason !== 'MAX_TOKENS') throw badAnswer(target, `ended with ${finishReason}`);
  const parts = candidate.content?.parts ?? [];
  return finished(target, {
    text: parts.map(({ text, thought }) => (thought ? '' : (text ?? ''))).join(''),
    model: modelVersion ?? target.model,
    finish: finishReason === 'MAX_TOKENS' ? 'length' : 'stop',
    input_tokens: usage.promptTokenCount,
    // Thoughts are billed as output.
    output_tokens: usage.candidatesTokenCount + usage.thoughtsTokenCount,
  });
}
