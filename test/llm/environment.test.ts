import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { callModel } from '../../src/llm/index.ts';
import { API_KEY, ask, useFakeModel, VENDORS } from '../fakes/ask.ts';

const { fake, fetch } = await useFakeModel();
let elsewhere: string;
const strayRequests: string[] = [];
const stray = createServer((request, response) => {
  strayRequests.push(`${request.method} ${request.url} ${JSON.stringify(request.headers)}`);
  response.writeHead(500).end();
});
beforeAll(async () => {
  await new Promise<void>((resolve) => stray.listen(0, '127.0.0.1', resolve));
  elsewhere = `http://127.0.0.1:${(stray.address() as AddressInfo).port}`;
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  strayRequests.length = 0;
});
afterAll(() => {
  stray.closeAllConnections();
  stray.close();
});

function poisonEnvironment() {
  const headers = 'Authorization: Bearer stolen\nx-api-key: stolen\nx-goog-api-key: stolen\nx-poison: yes';
  const poison: Record<string, string> = {
    OPENAI_CUSTOM_HEADERS: headers,
    ANTHROPIC_CUSTOM_HEADERS: headers,
    OPENAI_ORG_ID: 'poison',
    OPENAI_PROJECT_ID: 'poison',
    OPENAI_LOG: 'debug',
    ANTHROPIC_LOG: 'debug',
    ANTHROPIC_AUTH_TOKEN: 'poison',
    ANTHROPIC_PROFILE: 'poison',
    ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE: 'content',
    GOOGLE_GENAI_USE_VERTEXAI: 'true',
    GOOGLE_GENAI_USE_ENTERPRISE: 'true',
    GOOGLE_GENAI_API_VERSION: 'v9',
    GOOGLE_CLOUD_PROJECT: 'poison',
    GOOGLE_CLOUD_LOCATION: 'poison',
  };
  for (const name of ['OPENAI', 'ANTHROPIC', 'GOOGLE_GEMINI', 'GOOGLE_VERTEX']) poison[`${name}_BASE_URL`] = elsewhere;
  for (const name of ['OPENAI_API_KEY', 'OPENAI_ADMIN_KEY', 'ANTHROPIC_API_KEY', 'GOOGLE_API_KEY', 'GEMINI_API_KEY']) {
    poison[name] = 'poison';
  }
  for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy', 'ALL_PROXY', 'OLLAMA_HOST']) {
    poison[name] = elsewhere;
  }
  for (const [name, value] of Object.entries(poison)) vi.stubEnv(name, value);
}

test.each(VENDORS)('%s: no environment variable changes where a call goes or what it carries', async (vendor) => {
  fake.on(() => 'ok');
  await ask(fake, vendor, { fetch });
  poisonEnvironment();
  const said = (['log', 'debug', 'info', 'warn', 'error'] as const).map((level) =>
    vi.spyOn(console, level).mockReturnValue(),
  );
  await ask(fake, vendor, { fetch });
  await ask(fake, vendor, { fetch, on_delta: () => {} });
  const [clean, poisoned, streamed] = fake.calls;
  expect(poisoned!.headers).toEqual(clean!.headers);
  expect(poisoned!.body).toEqual(clean!.body);
  expect({ ...streamed!.headers, 'content-length': '' }).toEqual({ ...clean!.headers, 'content-length': '' });
  expect([poisoned!.api_key, streamed!.api_key]).toEqual([API_KEY, API_KEY]);
  expect(strayRequests).toEqual([]);
  expect(JSON.stringify(said.map((spy) => spy.mock.calls))).not.toMatch(/canary|Say something|poison/);
});

const HOSTS = {
  openai: 'https://api.openai.com/v1/chat/completions',
  anthropic: 'https://api.anthropic.com/v1/messages',
  gemini: 'https://generativelanguage.googleapis.com/v1beta/models/a-model:generateContent',
  ollama: 'http://localhost:11434/api/chat',
};

test.each(VENDORS)(
  '%s: without a base_url the call goes to its own host, whatever the environment says',
  async (vendor) => {
    poisonEnvironment();
    vi.spyOn(console, 'warn').mockReturnValue();
    const urls: string[] = [];
    const recording: typeof globalThis.fetch = async (url) => {
      urls.push(url as string);
      throw Object.assign(new Error('not in a test'), { code: 'ENOTFOUND' });
    };
    const whole = { signal: new AbortController().signal, fetch: recording, timeout_ms: 5000 };
    for (const options of [whole, { ...whole, on_delta: () => {} }]) {
      const target = { vendor, model: 'a-model', api_key: API_KEY, base_url: '' };
      const call = callModel(target, { system: '', prompt: 'x', max_output_tokens: 9 }, options);
      await expect(call).rejects.toMatchObject({ type: 'LlmUnavailable' });
    }
    const streamed = HOSTS[vendor].replace(':generateContent', ':streamGenerateContent?alt=sse');
    expect(urls).toEqual([HOSTS[vendor], streamed]);
  },
);

test.each(VENDORS)('%s: a redirect is not followed, and the key does not reach the other host', async (vendor) => {
  for (const status of [301, 302, 303, 307, 308]) {
    fake.on(() => ({ status, headers: { location: `${elsewhere}/steal` }, body: '' }));
    await expect(ask(fake, vendor, { fetch })).rejects.toMatchObject({
      type: 'EgressBlocked',
      status,
      retryable: false,
    });
  }
  expect(strayRequests).toEqual([]);
});
