import { expect, test } from 'vitest';
import { ask, useFakeModel } from '../fakes/ask.ts';

/** Servers whose context holds the answer too. */

const { fake, fetch } = await useFakeModel();

test.each([
  [
    'vLLM',
    400,
    "'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum context length is 8192 tokens and your request has 162 input tokens (8192 > 8192 - 162).",
    8_030,
  ],
  [
    'OpenAI',
    400,
    "This model's maximum context length is 8192 tokens. However, you requested 8400 tokens (208 in the messages, 8192 in the completion). Please reduce the length.",
    7_984,
  ],
  [
    'TGI',
    422,
    'Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 200 `inputs` tokens and 8192 `max_new_tokens`',
    3_896,
  ],
])(
  'a context that holds the answer too: %s is asked for what fits, and the next call for all again',
  async (_, status, message, fits) => {
    const asked: number[] = [];
    fake.on(({ max_output_tokens }) => {
      asked.push(max_output_tokens!);
      return max_output_tokens! > fits ? { status, body: { error: { message } } } : 'Yes.';
    });
    const given = { fetch, model: `small-${fits}`, max_output_tokens: 8_192 };
    for (let call = 0; call < 2; call += 1) expect(await ask(fake, 'openai', given)).toMatchObject({ text: 'Yes.' });
    expect(asked).toEqual([8_192, fits, 8_192, fits]);
  },
);

test('a prompt that leaves no room for an answer is too long', async () => {
  const message = "This model's maximum context length is 8192 tokens and your request has 8100 input tokens.";
  fake.on(() => ({ status: 400, body: { error: { message } } }));
  await expect(ask(fake, 'openai', { fetch, max_output_tokens: 8_192 })).rejects.toMatchObject({
    type: 'LlmContextTooLong',
  });
  expect(fake.calls).toHaveLength(1);
});
