import { describe, expect, test } from 'vitest';
import { parseToolArguments } from '../../src/llm/index.ts';
import { ask, useFakeModel, VENDORS } from '../fakes/ask.ts';
import { framesOf } from '../fakes/stream.ts';
import type { FakeToolCall } from '../fakes/tools.ts';
import { encodeAnswer } from '../fakes/wire.ts';

/** Bodies of answers as servers send them that are less exact than the vendor. */

const { fake, fetch } = await useFakeModel();

const TEXT = 'Größe zählt: 😀 some text.';
const tools = [{ name: 'find', description: 'Finds.', json_schema: { type: 'object', properties: {} } }];
const sse = { 'content-type': 'text/event-stream' };

describe.each(VENDORS)('%s: a stream that was asked for comes', (vendor) => {
  const called: FakeToolCall[] = vendor === 'ollama' ? [] : [{ id: 'c1', name: 'find', arguments: { q: 'x' } }];
  const check = async () => {
    const heard: string[] = [];
    const { text, tool_calls = [] } = await ask(fake, vendor, { fetch, tools, on_delta: (bit) => heard.push(bit) });
    expect([text, heard.join('')]).toEqual([TEXT, TEXT]);
    expect(tool_calls.map((call) => parseToolArguments(call.arguments))).toEqual(called.map((call) => call.arguments));
  };
  const plain = [{ 'content-type': 'application/json' }, sse, { 'content-type': 'text/plain' }];

  test.each(plain)('as plain JSON: %j', async (headers) => {
    fake.on((call) => ({ status: 200, headers, body: JSON.stringify(encodeAnswer(call, TEXT, 'stop', called)) }));
    await check();
    fake.on((call) => ({
      status: 200,
      headers,
      body: JSON.stringify(encodeAnswer(call, TEXT, 'stop', called), null, 2),
    }));
    await check();
  });

  test.each([
    ['without `event:` lines', (frames: string) => frames.replaceAll(/^event: .*\n/gm, '')],
    ['without blanks after colons', (frames: string) => frames.replaceAll(/^(data|event): /gm, '$1:')],
    ['with CRLF', (frames: string) => frames.replaceAll('\n', '\r\n')],
    [
      'with comments and pings',
      (frames: string) => `: hello\n\n${frames.replaceAll('\n\n', '\n\n: ping\n\ndata:\n\n')}`,
    ],
    ['with no empty lines between', (frames: string) => frames.replaceAll('\n\n', '\n')],
    ['without an empty line after the last event', (frames: string) => frames.trimEnd()],
    ['as a list', (frames: string) => listed(frames)],
  ])('%s', async (_, write) => {
    fake.on((call) => {
      const frames = framesOf(call, TEXT, 'stop', called).join('');
      return { status: 200, headers: vendor === 'ollama' ? {} : sse, body: write(frames) };
    });
    await check();
  });

  test('although none was asked for', async () => {
    fake.on((call) => ({ status: 200, headers: sse, body: framesOf(call, TEXT, 'stop', called).join('') }));
    expect(await ask(fake, vendor, { fetch, tools })).toMatchObject({ text: TEXT });
  });
});

/** The values of a stream as one JSON list on many lines, as Gemini sends them without `alt=sse`. */
function listed(frames: string): string {
  const lines = frames.split('\n').map((line) => line.replace(/^data: /, ''));
  return JSON.stringify(
    lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as object),
    null,
    1,
  );
}
