import { afterAll, afterEach } from 'vitest';
import { createGuardedFetch } from '../../src/fetch/index.ts';
import { callModel, type ModelRequest, type ModelTarget } from '../../src/llm/index.ts';
import { startFakeModel, type FakeModel } from './model.ts';
import type { FakeVendor } from './wire.ts';

export const VENDORS: FakeVendor[] = ['openai', 'anthropic', 'gemini', 'ollama'];

/** Has the shape of a key, so that a leak of it would be seen. */
export const API_KEY = 'sk-canary-SECRET0123456789';

/** A guarded fetch that may reach the fakes on this machine, with deadlines that only what hangs meets. Close it at the end. */
export function localFetch(options: Partial<Parameters<typeof createGuardedFetch>[0]> = {}) {
  return createGuardedFetch({
    allowedPrivateCidrs: ['127.0.0.0/8'],
    idle_timeout_ms: 60_000,
    headers_timeout_ms: 60_000,
    max_body_bytes: 1_000_000,
    ...options,
  });
}

/** A fake for all tests of a file, forgetful between them, and a fetch that may reach it. */
export async function useFakeModel() {
  const fake = await startFakeModel();
  const { fetch, close } = localFetch();
  afterEach(() => {
    fake.assertNothingUnscripted();
    fake.reset();
  });
  afterAll(async () => {
    await close();
    await fake.close();
  });
  return { fake, fetch };
}

/** Asks the fake as a vendor. What is not given is a plain question with the key, and a minute to answer. */
export function ask(
  fake: FakeModel,
  vendor: FakeVendor,
  given: Partial<ModelTarget & ModelRequest> & {
    fetch: typeof fetch;
    signal?: AbortSignal;
    timeout_ms?: number;
    on_delta?: (text: string) => void;
    on_broken?: (streamed_tokens?: number) => Promise<void>;
  },
) {
  const { model = 'a-model', api_key = API_KEY, base_url = fake.baseUrl(vendor), is_operators, fetch, ...rest } = given;
  const { signal = new AbortController().signal, timeout_ms = 60_000, on_delta, on_broken, ...request } = rest;
  return callModel(
    { vendor, model, api_key, base_url, is_operators },
    { system: 'You are a test.', prompt: 'Say something.', max_output_tokens: 100, ...request },
    { signal, fetch, timeout_ms, on_delta, on_broken },
  );
}
