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
  ['anthropic', 'gpt-4o', undefined],
])('a million tokens each way of %s %s cost %s dollars', (vendor, model, usd) => {
  if (usd === undefined) expect(cost(vendor, model)).toBeUndefined();
  else expect(cost(vendor, model)).toBeCloseTo(usd, 9);
});

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
  ['', undefined],
])('%s is made by %s', (model, vendor) => {
  expect(vendorOfModel(model)).toBe(vendor);
});
