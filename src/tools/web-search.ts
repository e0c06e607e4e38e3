import { z } from 'zod';
import { EgressBlockedError, whyNoAnswer } from '../fetch/index.ts';
import { defineTool, ToolError, type Tool } from './tool.ts';

/** Whom to ask: the first that is set. */
export type SearchSettings = { SEARXNG_URL?: string; BRAVE_SEARCH_API_KEY?: string; TAVILY_API_KEY?: string };

type Result = { title: string; url: string; snippet: string };
type Search = (query: string, count: number) => { url: string; init: RequestInit; read: (body: unknown) => Result[] };

/** A search of the web at the engine that the operator has set, or undefined when there is none. */
export function webSearch(settings: SearchSettings, fetch: typeof globalThis.fetch): Tool | undefined {
  const search = searchOf(settings);
  if (!search) return undefined;
  return defineTool({
    name: 'web_search',
    description: 'Searches the web and returns titles, addresses and short extracts of the best results.',
    parameters: z.object({
      query: z.string().trim().min(1).max(400),
      max_results: z.int().min(1).max(20).default(8),
    }),
    async run({ query, max_results }, { signal }) {
      const results = (await ask(fetch, search(query, max_results), signal)).slice(0, max_results);
      if (results.length === 0) return 'Nothing was found.';
      return results.map(({ title, url: at, snippet }) => `${title}\n${at}\n${snippet}`.trim()).join('\n\n');
    },
  });
}

async function ask(
  fetch: typeof globalThis.fetch,
  { url, init, read }: ReturnType<Search>,
  signal: AbortSignal,
): Promise<Result[]> {
  try {
    const response = await fetch(url, { ...init, signal });
    if (response.ok) return read(await response.json());
    await response.body?.cancel();
    throw new ToolError(`The search engine answered with HTTP ${response.status}.`);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ToolError) throw error;
    // Its address is the operator's.
    const why = whyNoAnswer(error);
    const unusable = why ? `could not be reached: ${why}` : 'could not be understood';
    const reason = error instanceof EgressBlockedError ? 'may not be called' : unusable;
    throw new ToolError(`The search engine ${reason}.`);
  }
}

function parameters(values: Record<string, string>): string {
  return new URLSearchParams(values).toString();
}

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '');
const searxng = z.object({ results: z.array(z.object({ title: text, url: z.string(), content: text })) });
const brave = z.object({
  web: z.object({ results: z.array(z.object({ title: text, url: z.string(), description: text })) }).optional(),
});
const tavily = searxng;

function searchOf({ SEARXNG_URL, BRAVE_SEARCH_API_KEY, TAVILY_API_KEY }: SearchSettings): Search | undefined {
  const accept = 'application/json';
  if (SEARXNG_URL) {
    return (query) => ({
      url: `${SEARXNG_URL.replace(/\/+$/, '')}/search?${parameters({ q: query, format: 'json' })}`,
      init: { headers: { accept } },
      read: (body) => searxng.parse(body).results.map(({ content, ...result }) => ({ ...result, snippet: content })),
    });
  }
  if (BRAVE_SEARCH_API_KEY) {
    return (query, count) => ({
      url: `https://api.search.brave.com/res/v1/web/search?${parameters({ q: query, count: String(count) })}`,
      init: { headers: { accept, 'x-subscription-token': BRAVE_SEARCH_API_KEY } },
      read: (body) =>
        (brave.parse(body).web?.results ?? []).map(({ description, ...result }) => ({
          ...result,
          snippet: description.replaceAll(/<\/?\w+>/g, ''),
        })),
    });
  }
  if (TAVILY_API_KEY) {
    return (query, count) => ({
      url: 'https://api.tavily.com/search',
      init: {
        method: 'POST',
        headers: { accept, 'content-type': 'application/json', authorization: `Bearer ${TAVILY_API_KEY}` },
        body: JSON.stringify({ query, max_results: count }),
      },
      read: (body) => tavily.parse(body).results.map(({ content, ...result }) => ({ ...result, snippet: content })),
    });
  }
  return undefined;
}
