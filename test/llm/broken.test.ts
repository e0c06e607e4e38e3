import { expect, test } from 'vitest';
import { ask, useFakeModel, VENDORS } from '../fakes/ask.ts';
import type { Reply } from '../fakes/model.ts';
import type { FakeVendor } from '../fakes/wire.ts';

/** What is told of calls that may have to be paid and gave no answer. */

const { fake, fetch } = await useFakeModel();
/** 100 tokens, as they are estimated. */
const text = 'four'.repeat(100);

/** What was told of a call: each time the tokens, or null where they are not known. It is cancelled when so much was heard. */
async function tokensOf(
  vendor: FakeVendor,
  reply: Reply,
  given: { base_url?: string; streamed?: boolean; stopAt?: number },
) {
  const { base_url = fake.baseUrl(vendor), streamed = true, stopAt } = given;
  fake.on(() => reply);
  const told: (number | null)[] = [];
  const cancellation = new AbortController();
  const before = fake.calls.length;
  let heard = 0;
  const on_delta = (bit: string) => {
    heard += bit.length;
    if (heard === stopAt) cancellation.abort(new Error('cancelled'));
  };
  const on_broken = async (tokens?: number) => void told.push(tokens ?? null);
  const asked = { fetch, base_url, on_broken, signal: cancellation.signal };
  const call = ask(fake, vendor, { ...asked, ...(streamed && { on_delta }) });
  if (stopAt === 0) {
    await fake.until(() => fake.calls.length > before, 'it is asked');
    cancellation.abort(new Error('cancelled'));
  }
  await call.catch(() => {});
  await fake.untilHungUp();
  return told;
}

test.each(VENDORS)('%s: what was streamed until then, however it broke off', async (vendor) => {
  expect(await tokensOf(vendor, { say: text, ending: 'hang' }, { stopAt: text.length })).toEqual([100]);
  for (const ending of ['reset', 'end', 'error'] as const) {
    expect(await tokensOf(vendor, { say: text, ending }, {}), ending).toEqual([100]);
  }
  expect(await tokensOf(vendor, { hang: 'after_headers' }, { stopAt: 0 })).toEqual([0]);
});

test.each(VENDORS)('%s: of what is not streamed nothing is known', async (vendor) => {
  expect(await tokensOf(vendor, { cut: true }, { streamed: false })).toEqual([null]);
  expect(await tokensOf(vendor, { hang: 'before_headers' }, { streamed: false, stopAt: 0 })).toEqual([null]);
});

test.each(VENDORS)(
  '%s: an answer, an error of the server, and a server that is not there cost nothing so',
  async (vendor) => {
    for (const streamed of [true, false]) {
      expect(await tokensOf(vendor, text, { streamed })).toEqual([]);
      // It is told with what it has cost.
      expect(await tokensOf(vendor, ' ', { streamed })).toEqual([]);
      for (const status of [400, 429, 500]) expect(await tokensOf(vendor, { status }, { streamed })).toEqual([]);
      for (const base_url of ['http://127.0.0.1:2', 'http://10.0.0.1', 'http://no-such-host.invalid']) {
        expect(await tokensOf(vendor, text, { streamed, base_url }), base_url).toEqual([]);
      }
    }
  },
);

test.each(VENDORS)('%s: arguments of calls are written too', async (vendor) => {
  const call = [{ name: 'save', arguments: { text } }];
  const [tokens] = await tokensOf(vendor, { call, finish: 'none' }, {});
  expect(tokens).toBeGreaterThanOrEqual(100);
  expect(tokens).toBeLessThan(120);
});
