import { expect, test } from 'vitest';
import { ask, useFakeModel, VENDORS } from '../fakes/ask.ts';
import type { Reply } from '../fakes/model.ts';

/** Thoughts that a server leaves in the text are no output, whole or streamed, wherever the stream is cut. */

const { fake, fetch } = await useFakeModel();

const TEXTS: [said: string, visible: string][] = [
  ['<think>Hm.</think>The result.', 'The result.'],
  ['<think>\nHm.\n</think>\n\nThe result.\n', 'The result.\n'],
  [' \n<THINK>Hm.</Think> The result.', 'The result.'],
  ['<think></think>The result.', 'The result.'],
  ['<thinking>Hm.</thinking>\nThe result.', 'The result.'],
  ['<thought>Hm.</thought>The result.', 'The result.'],
  ['<reasoning>{"example": true}</reasoning>{"real": true}', '{"real": true}'],
  ['<seed:think>Hm.</seed:think>The result.', 'The result.'],
  ['[THINK]Hm.[/THINK]The result.', 'The result.'],
  ['◁think▷Hm.◁/think▷The result.', 'The result.'],
  ['<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>The result.', 'The result.'],
  ['<think>One.</think>\n<think>Two.</think>\nThe result.', 'The result.'],
  ['<think>It says </thinking> and < /think> and </thin, k>.</think>The result.', 'The result.'],
  ['<think>Hm.</think>Then </think> is what ends it.', 'Then </think> is what ends it.'],
  // What only speaks of such marks is a text.
  [
    'The mark `<think>` begins thoughts, and `</think>` ends them.',
    'The mark `<think>` begins thoughts, and `</think>` ends them.',
  ],
  ['Some send the closing tag </think>. Handle it.', 'Some send the closing tag </think>. Handle it.'],
  ['A guide.\n\n- **</think>**: the end.', 'A guide.\n\n- **</think>**: the end.'],
  ['| mark |\n| </think> | ends |', '| mark |\n| </think> | ends |'],
  ['Before (</think>) after', 'Before (</think>) after'],
  ['```xml\n<think>Hm.</think>\n```', '```xml\n<think>Hm.</think>\n```'],
  ['First.\n\n<think>An example.</think>\n\nLast.', 'First.\n\n<think>An example.</think>\n\nLast.'],
  ['< think>x', '< think>x'],
  ['<thinker>Rodin</thinker>', '<thinker>Rodin</thinker>'],
  ['<', '<'],
  ['  <thi', '  <thi'],
  [' [1] as the sources say', ' [1] as the sources say'],
];

test.each(TEXTS)('%j', async (said, visible) => {
  fake.on(() => said);
  for (const vendor of VENDORS) expect(await ask(fake, vendor, { fetch })).toMatchObject({ text: visible });
});

test.each(VENDORS)('%s: what the prompt asks for by name is no thought, whole or streamed', async (vendor) => {
  const said = '<reasoning>Because.</reasoning><answer>Yes.</answer>';
  fake.on(() => said);
  const prompt = 'Write <reasoning> first, then <answer>.';
  const deltas: string[] = [];
  const asked = { fetch, prompt, on_delta: (text: string) => deltas.push(text) };
  expect(await ask(fake, vendor, asked)).toMatchObject({ text: said });
  expect(deltas.join('')).toBe(said);
});

async function* cutAt(said: string, size: number) {
  for (let at = 0; at < said.length; at += size) yield said.slice(at, at + size);
}

test.each(TEXTS)('streamed in pieces of any size: %j', async (said, visible) => {
  for (const size of [1, 2, 3, 5, 7, 100]) {
    const deltas: string[] = [];
    fake.on((): Reply => ({ say: cutAt(said, size) }));
    const answer = await ask(fake, 'ollama', { fetch, on_delta: (text) => deltas.push(text) });
    expect([size, answer.text, deltas.join('')]).toEqual([size, visible, visible]);
  }
});

test.each([
  ['Hm. So it is.</think>The result.'],
  ['Hm.\nSo it is.\n</think>\n\nThe result.'],
  ['So it is "it"</think>\n\nThe result.'],
  ['So: 4 </think> The result.'],
  ['嗯。</think>The result.'],
  ['Hm.[/THINK]The result.'],
])('all up to an end that stands alone is thoughts: %j', async (said) => {
  fake.on(() => said);
  for (const vendor of VENDORS) expect(await ask(fake, vendor, { fetch })).toMatchObject({ text: 'The result.' });
});

test.each(VENDORS)(
  '%s: where texts begin amid thoughts, readers are told none of them from the second call on',
  async (vendor) => {
    const model = 'begins-amid';
    const listen = async (said: string) => {
      const deltas: string[] = [];
      fake.on(() => said);
      const { text } = await ask(fake, vendor, { fetch, model, on_delta: (delta) => deltas.push(delta) });
      return [text, deltas.join('')];
    };
    expect(await listen('Hm.\n</think>\n\nThe result.')).toEqual([
      'The result.',
      expect.stringContaining('The result.'),
    ]);
    expect(await listen('Hm, and so on.\n</think>\n\nThe result.')).toEqual(['The result.', 'The result.']);
    expect(await listen('<think>Hm.</think>\nThe result.')).toEqual(['The result.', 'The result.']);
    const plain = 'A result without any thoughts, long enough to come in several pieces.';
    expect(await listen(plain)).toEqual([plain, plain]);
    expect(fake.calls.every(({ stream }) => stream)).toBe(true);
  },
);

test.each([
  ['It writes `</think>` at the end.'],
  ['It writes "</think>" at the end.'],
  ['The tag </think> ends them.'],
  ['```\n</think>\n```\nis the end.'],
])('an end that is only spoken of is none: %j', async (said) => {
  fake.on(() => said);
  expect(await ask(fake, 'openai', { fetch })).toMatchObject({ text: said });
});

test.each(VENDORS)('%s: thoughts without an answer are none', async (vendor) => {
  for (const said of ['<think>Hm.', '<think>Hm.</think>', 'Hm.\n</think>\n']) {
    fake.on(() => said);
    await expect(ask(fake, vendor, { fetch })).rejects.toMatchObject({ type: 'LlmEmptyAnswer' });
    fake.on(() => ({ finish: 'length', text: said }));
    expect(await ask(fake, vendor, { fetch })).toMatchObject({ text: '', finish: 'length' });
  }
});

test('long thoughts are read once', async () => {
  for (const said of ['<think>' + '</thin'.repeat(100_000), ' '.repeat(500_000), '</think'.repeat(100_000)]) {
    fake.on((): Reply => ({ say: cutAt(`${said}.`, 1_000) }));
    const { signal } = new AbortController();
    const answer = ask(fake, 'ollama', { fetch, signal, timeout_ms: 10_000, on_delta: () => {} });
    const type: unknown = await answer.then(
      () => 'text',
      (error: { type: string }) => error.type,
    );
    expect(type).not.toBe('LlmTimeout');
  }
});
