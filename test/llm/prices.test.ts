import { expect, test } from 'vitest';
import { costUsd, DEFAULT_MODELS, vendorOfModel, type Vendor } from '../../src/llm/index.ts';

const cost = (vendor: Vendor, model: string) =>
  costUsd({ vendor, model, input_tokens: 1_000_000, output_tokens: 1_000_000 });

test.each<[Vendor, string, number | undefined]>([
  ['openai', 'gpt-4o-mini', 0.75],
  ['openai', 'gpt-4o-mini-2024-07-18', 0.75],
  ['openai', 'gpt-4o', 12.5],
  ['openai', 'gpt-4o-2024-11-20', 12.5],
  ['openai', 'gpt-4o-2024-05-13', 20],
  ['gemini', 'gemini-2.0-flash-lite', 0.375],
  ['gemini', 'gemini-2.0-flash-lite-001', 0.375],
  ['gemini', 'gemini-3.1-flash-lite-preview', 1.75],
  ['anthropic', 'claude-3-5-haiku-20241022', 4.8],
  ['ollama', 'anything', 0],
  ['demo', 'demo', 0],
  ['openai', 'gpt-9', undefined],
  ['openai', 'gpt-5.99', undefined],
  ['openai', 'constructor', undefined],
  ['openai', '', undefined],
  // Whoever serves it, under the names that they have for it.
  ['anthropic', 'gpt-4o', 12.5],
  ['openai', 'claude-sonnet-4-5', 18],
  ['gemini', 'models/gemini-2.5-flash', 2.8],
  ['gemini', 'publishers/google/models/gemini-2.5-flash-preview-05-20', 2.8],
  ['openai', 'models/gemini-2.5-flash', 2.8],
  ['openai', 'google/gemini-2.5-flash', 2.8],
  ['openai', 'openai/gpt-4o-mini', 0.75],
  ['openai', 'OpenAI/GPT-4o-mini', 0.75],
  ['openai', 'azure/eu/gpt-4.1-mini', 2],
  ['openai', '@my-openai/gpt-4o', 12.5],
  ['openai', 'anthropic/claude-sonnet-4-5', 18],
  ['openai', 'anthropic/claude-sonnet-4.5', 18],
  ['openai', 'openrouter/anthropic/claude-3.7-sonnet:thinking', 18],
  ['openai', 'anthropic/claude-sonnet-4', 18],
  ['openai', 'anthropic/claude-3.5-haiku-20241022', 4.8],
  ['anthropic', 'us.anthropic.claude-sonnet-4-5-20250929-v1:0', 18],
  ['anthropic', 'anthropic.claude-3-haiku-20240307-v1:0', 1.5],
  ['openai', 'bedrock/us-gov.anthropic.claude-opus-4-1-20250805-v1:0', 90],
  ['openai', 'arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0', 1.5],
  ['openai', 'vertex_ai/claude-opus-4@20250514', 90],
  ['anthropic', 'claude-haiku-4-5@20251001', 6],
  ['openai', 'accounts/acme/models/gpt-4o', 12.5],
  // Not the models that they are named after.
  ['openai', 'ft:gpt-4o-mini:acme::abc', undefined],
  ['openai', 'deepseek/deepseek-r1', undefined],
  ['openai', 'openai/gpt-oss-120b', undefined],
  ['openai', 'accounts/fireworks/models/llama-v3p1-8b', undefined],
  ['openai', 'my-gpt-4o', undefined],
  ['openai', 'models/', undefined],
  ['openai', 'toString/constructor', undefined],
])('a million tokens each way of %s %s cost %s dollars', (vendor, model, usd) => {
  if (usd === undefined) expect(cost(vendor, model)).toBeUndefined();
  else expect(cost(vendor, model)).toBeCloseTo(usd, 9);
});

test.each([
  ['gemini-2.0-flash-lite', 1, 0, '7.5e-8'],
  ['gpt-4o-mini', 7_000, 457, '0.0013242'],
  ['gpt-4o-mini', 1, 7, '0.00000435'],
  ['gpt-4o', 1_234_567, 89, '3.0873075'],
])(
  '%s, %i tokens and %i of answer: the price has no digits of binary fractions',
  (model, input_tokens, output_tokens, usd) => {
    expect(costUsd({ vendor: 'openai', model, input_tokens, output_tokens })).toBe(Number(usd));
  },
);

test('every default model has a price', () => {
  for (const [vendor, model] of Object.entries(DEFAULT_MODELS))
    expect(cost(vendor as Vendor, model)).toBeTypeOf('number');
});

test.each([
  ['gpt-4o', 'openai'],
  ['chatgpt-4o-latest', 'openai'],
  ['o1', 'openai'],
  ['o4-mini', 'openai'],
  ['claude-sonnet-5', 'anthropic'],
  ['gemini-2.5-pro', 'gemini'],
  ['gpt-oss-120b', undefined],
  ['llama3', undefined],
  ['o1x', undefined],
  ['openai/gpt-4o', undefined],
  ['models/gemini-2.5-flash', 'gemini'],
  ['', undefined],
])('%s is made by %s', (model, vendor) => {
  expect(vendorOfModel(model)).toBe(vendor);
});
