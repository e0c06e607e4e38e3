import { expect, test } from 'vitest';
import { builtInTools } from '../../src/tools/index.ts';

/** The engines whose addresses are their own; SearXNG's is in tools.test.ts. */

const found = { title: 'Otters', url: 'https://example.com/otters' };

async function search(settings: object, answer: object | number) {
  const asked: { url: string; init: RequestInit }[] = [];
  const fetch = async (url: string | URL | Request, init: RequestInit = {}) => {
    asked.push({ url: url as string, init });
    return typeof answer === 'number' ? new Response('no', { status: answer }) : Response.json(answer);
  };
  const tools = builtInTools({ HTTP_REQUEST_ALLOWED_PRIVATE_CIDRS: [], ...settings }, fetch);
  const tool = tools.find(({ name }) => name === 'web_search')!;
  const context = {
    signal: AbortSignal.timeout(60_000),
    account_id: 'acc_1',
    run_id: 'run_1',
    task_id: 'T1',
    idempotency_key: 'k',
  };
  const result = await tool.run({ query: 'otters & sleep', max_results: 3 }, context).catch(String);
  return { result, asked: { ...asked[0]!, headers: new Headers(asked[0]!.init.headers) } };
}

test('Brave is asked with its token, and its marks are taken out', async () => {
  const web = { results: [{ ...found, description: 'They <strong>hold</strong> hands.' }] };
  const { result, asked } = await search({ BRAVE_SEARCH_API_KEY: 'brave-key' }, { web });
  expect(asked.url).toBe('https://api.search.brave.com/res/v1/web/search?q=otters+%26+sleep&count=3');
  expect(asked.headers.get('x-subscription-token')).toBe('brave-key');
  expect(result).toBe('Otters\nhttps://example.com/otters\nThey hold hands.');
});

test('Tavily is asked with its key', async () => {
  const { result, asked } = await search({ TAVILY_API_KEY: 'tvly-key' }, { results: [{ ...found, content: 'Yes.' }] });
  expect(asked).toMatchObject({ url: 'https://api.tavily.com/search', init: { method: 'POST' } });
  expect(asked.headers.get('authorization')).toBe('Bearer tvly-key');
  expect(JSON.parse(asked.init.body as string)).toEqual({ query: 'otters & sleep', max_results: 3 });
  expect(result).toBe('Otters\nhttps://example.com/otters\nYes.');
});

test('an engine that refuses, or says what it should not, is a failed call without its key', async () => {
  for (const answer of [401, 500, { results: 'none' }]) {
    const { result } = await search({ TAVILY_API_KEY: 'tvly-key' }, answer);
    expect(result).toMatch(/^ToolError: The search engine/);
    expect(result).not.toContain('tvly-key');
  }
  expect((await search({ BRAVE_SEARCH_API_KEY: 'k' }, {})).result).toBe('Nothing was found.');
});

test('without a setting there is no web_search', () => {
  const tools = builtInTools({ HTTP_REQUEST_ALLOWED_PRIVATE_CIDRS: [] }, fetch);
  expect(tools.map(({ name }) => name)).toEqual(['http_request', 'run_javascript']);
});
