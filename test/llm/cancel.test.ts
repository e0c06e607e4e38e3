import { expect, test } from 'vitest';
import { ask, localFetch, useFakeModel, VENDORS } from '../fakes/ask.ts';

const { fake, fetch } = await useFakeModel();

const PLACES = ['before_headers', 'after_headers'] as const;
const cases = VENDORS.flatMap((vendor) => PLACES.map((hang) => [vendor, hang] as const));

test.each(cases)('%s, hanging %s: a cancelled call rejects with the reason and hangs up', async (vendor, hang) => {
  fake.on(() => ({ hang }));
  const cancellation = new AbortController();
  const call = ask(fake, vendor, { fetch, signal: cancellation.signal });
  await fake.waitForCall();
  const reason = new Error('the run was cancelled');
  cancellation.abort(reason);
  await expect(call).rejects.toBe(reason);
  await fake.until(() => fake.calls[0]!.client_closed, 'the client closed the call');
  expect(fake.openCalls).toBe(0);
});

test.each(cases)('%s, hanging %s: our own timeout is LlmTimeout and hangs up', async (vendor, hang) => {
  fake.on(() => ({ hang }));
  const call = ask(fake, vendor, { fetch, timeout_ms: 100 });
  await expect(call).rejects.toMatchObject({ type: 'LlmTimeout', retryable: true });
  // On a busy machine it may not have arrived by then.
  await fake.until(() => fake.calls.every(({ client_closed }) => client_closed), 'the client closed the call');
});

test.each(PLACES)('hanging %s: a silent connection is LlmTimeout before the total is over', async (hang) => {
  const impatient = localFetch({ idle_timeout_ms: 100, headers_timeout_ms: 100 });
  fake.on(() => ({ hang }));
  const calls = VENDORS.map((vendor) => ask(fake, vendor, { fetch: impatient.fetch, timeout_ms: 60_000 }));
  for (const call of await Promise.allSettled(calls)) {
    expect(call).toMatchObject({ reason: { type: 'LlmTimeout', message: expect.stringContaining('TIMEOUT') } });
  }
  await impatient.close();
});

test.each([...VENDORS, 'demo'] as const)(
  '%s: a call that was cancelled before it began is not made',
  async (vendor) => {
    const reason = new Error('too late');
    const given = { fetch, signal: AbortSignal.abort(reason), base_url: fake.url };
    await expect(ask(fake, vendor as 'openai', given)).rejects.toBe(reason);
    expect(fake.calls).toEqual([]);
  },
);

test.each(VENDORS)('%s: cancelled while the failure arrives is cancelled, not failed', async (vendor) => {
  const cancellation = new AbortController();
  const reason = new Error('cancelled');
  const cancelling: typeof globalThis.fetch = async (...request) => {
    const response = await fetch(...request);
    cancellation.abort(reason);
    return response;
  };
  fake.on(() => ({ status: 500 }));
  await expect(ask(fake, vendor, { fetch: cancelling, signal: cancellation.signal })).rejects.toBe(reason);
});
