import type { Vendor } from './model.ts';

/** The model that a provider uses when it names none. */
export const DEFAULT_MODELS = {
  gemini: 'gemini-2.0-flash-lite',
  openai: 'gpt-4o-mini',
  anthropic: 'claude-3-5-haiku-20241022',
  ollama: 'llama3',
} as const;

type Price = [input: number, output: number];

/** USD per million tokens, text, list price without batch or cache discounts. From the price lists of late 2026. */
const PRICES: Record<'gemini' | 'openai' | 'anthropic', Record<string, Price>> = {
  gemini: {
    'gemini-1.5-flash': [0.075, 0.3],
    'gemini-1.5-pro': [1.25, 5],
    'gemini-2.0-flash': [0.1, 0.4],
    'gemini-2.0-flash-lite': [0.075, 0.3],
    'gemini-2.5-flash': [0.3, 2.5],
    'gemini-2.5-flash-lite': [0.1, 0.4],
    'gemini-2.5-pro': [1.25, 10],
    'gemini-3-flash-preview': [0.5, 3],
    'gemini-3-pro-preview': [2, 12],
    'gemini-3.1-flash-lite': [0.25, 1.5],
    'gemini-3.1-flash-lite-preview': [0.25, 1.5],
    'gemini-3.1-pro-preview': [2, 12],
    'gemini-3.5-flash': [1.5, 9],
    'gemini-3.5-flash-lite': [0.3, 2.5],
    'gemini-3.6-flash': [0.75, 3.75],
    'gemini-3.7-flash': [0.75, 3.75],
    'gemini-3.8-flash': [0.75, 3.75],
    'gemini-4-argon': [2, 10],
    'gemini-embedding-001': [0.15, 0],
    'gemini-flash-latest': [0.75, 3.75],
    'gemini-flash-lite-latest': [0.3, 2.5],
    'gemini-pro-latest': [2, 12],
  },
  openai: {
    'chatgpt-4o-latest': [5, 15],
    'gpt-3.5-turbo': [0.5, 1.5],
    'gpt-4': [30, 60],
    'gpt-4-turbo': [10, 30],
    'gpt-4.1': [2, 8],
    'gpt-4.1-mini': [0.4, 1.6],
    'gpt-4.1-nano': [0.1, 0.4],
    'gpt-4o': [2.5, 10],
    'gpt-4o-2024-05-13': [5, 15],
    'gpt-4o-mini': [0.15, 0.6],
    'gpt-5': [1.25, 10],
    'gpt-5-mini': [0.25, 2],
    'gpt-5-nano': [0.05, 0.4],
    'gpt-5-pro': [15, 120],
    'gpt-5.1': [1.25, 10],
    'gpt-5.1-codex-mini': [0.25, 2],
    'gpt-5.2': [1.75, 14],
    'gpt-5.2-pro': [21, 168],
    'gpt-5.3-chat-latest': [1.75, 14],
    'gpt-5.4': [2.5, 15],
    'gpt-5.4-mini': [0.75, 4.5],
    'gpt-5.4-nano': [0.2, 1.25],
    'gpt-5.4-pro': [30, 180],
    'gpt-5.5': [5, 30],
    'gpt-5.5-pro': [30, 180],
    'gpt-5.6': [4, 20],
    'gpt-5.6-luna': [0.2, 1.2],
    'gpt-5.6-terra': [2, 12],
    'gpt-6-astra': [10, 50],
    'gpt-6-luna': [0.1, 0.5],
    'gpt-6-sol': [2, 10],
    'gpt-6.1-sol': [2, 10],
    'gpt-6.1-terra': [1, 5],
    o1: [15, 60],
    'o1-mini': [1.1, 4.4],
    'o1-pro': [150, 600],
    o3: [2, 8],
    'o3-mini': [1.1, 4.4],
    'o3-pro': [20, 80],
    'o4-mini': [1.1, 4.4],
    'text-embedding-3-large': [0.13, 0],
    'text-embedding-3-small': [0.02, 0],
    'text-embedding-ada-002': [0.1, 0],
  },
  anthropic: {
    'claude-3-haiku': [0.25, 1.25],
    'claude-3-opus': [15, 75],
    'claude-3-5-haiku': [0.8, 4],
    'claude-3-5-haiku-20241022': [0.8, 4],
    'claude-3-5-sonnet': [3, 15],
    'claude-3-7-sonnet': [3, 15],
    'claude-sonnet-4-0': [3, 15],
    'claude-sonnet-4-20250514': [3, 15],
    'claude-opus-4-0': [15, 75],
    'claude-opus-4-20250514': [15, 75],
    'claude-opus-4-1': [15, 75],
    'claude-haiku-4-5': [1, 5],
    'claude-sonnet-4-5': [3, 15],
    'claude-opus-4-5': [5, 25],
    'claude-sonnet-4-6': [3, 15],
    'claude-opus-4-6': [5, 25],
    'claude-opus-4-7': [5, 25],
    'claude-opus-4-8': [5, 25],
    'claude-sonnet-5': [2, 10],
    'claude-opus-5': [5, 25],
    'claude-fable-5': [10, 50],
    'claude-mythos-5': [10, 50],
    'claude-haiku-5-5': [0.1, 0.5],
    'claude-sonnet-5-5': [2, 10],
    'claude-opus-5-5': [4, 20],
  },
};

/**
 * The price of a call in USD by our table, whoever serves the model; 0 where nobody charges (Ollama, the demo).
 * A name that is not in it counts as the longest one that it extends by `-…` (`gpt-4o-2024-11-20` is `gpt-4o`).
 *
 * @returns undefined for a model that we have no price for: not knowing is not free.
 */
export function costUsd(call: {
  vendor: Vendor;
  model: string;
  input_tokens: number;
  output_tokens: number;
}): number | undefined {
  if (call.vendor === 'ollama' || call.vendor === 'demo') return 0;
  const name = plainName(call.model);
  const price = priceOf(PRICES[vendorOfModel(name) ?? call.vendor], name);
  // In billionths of a dollar, which all prices are whole numbers of: else binary fractions add digits.
  return price && Math.round((call.input_tokens * price[0] + call.output_tokens * price[1]) * 1_000) / 1_000_000_000;
}

function priceOf(prices: Record<string, Price>, model: string): Price | undefined {
  if (Object.hasOwn(prices, model)) return prices[model];
  const known = Object.keys(prices).filter((name) => model.startsWith(`${name}-`));
  const longest = known.sort((a, b) => b.length - a.length)[0];
  return longest === undefined ? undefined : prices[longest];
}

/**
 * The name that its maker gives a model, without what those who serve it put around it: a path (`models/…`,
 * `openrouter/anthropic/…`), a region and a maker (`us.anthropic.…`), a variant (`…:free`, `…-v1:0`), a version after `@`.
 */
function plainName(model: string): string {
  const ofPath = model.slice(model.lastIndexOf('/') + 1).toLowerCase();
  const [named = ''] = ofPath.replace(/^([a-z-]+\.){1,2}(?=[a-z])/, '').split(':');
  const name = named.replace('@', '-');
  if (!name.startsWith('claude-')) return name;
  // Others write 4.5 for Anthropic's 4-5, and leave out the 0.
  return name.replaceAll('.', '-').replace(/^(claude-(?:opus|sonnet)-4)$/, '$1-0');
}

/**
 * Who makes a model, by its well-known name. Open models (llama, mistral, gpt-oss, …) run anywhere, and a name with a
 * maker before it (`openai/…`) is that of a server of many: undefined.
 */
export function vendorOfModel(model: string): Exclude<Vendor, 'ollama' | 'demo'> | undefined {
  if (/^(gpt-(?!oss)|chatgpt-|o\d+(-|$))/.test(model)) return 'openai';
  if (model.startsWith('claude-')) return 'anthropic';
  // As Google's own list names it, too.
  if (/^(models\/)?gemini-/.test(model)) return 'gemini';
  return undefined;
}
