import { LlmError, type ModelRequest, type ModelTarget, type Vendor } from './model.ts';
import { vendorOfModel } from './prices.ts';

/** How a server is spoken to: what it may refuse of a request, and what is then left out or said otherwise. */
export type Dialect = {
  /** JSON is asked for by the vendor's schema parameter, by its "some JSON" switch, or by words alone. */
  json: 'schema' | 'json' | 'words';
  /** `counted` asks for the usage as well, where a stream has it on request only. */
  stream: 'counted' | 'plain' | 'none';
  /** What the limit of output tokens is called: OpenAI's reasoning models know only the second, most other servers the first. */
  limit: 'max_tokens' | 'max_completion_tokens';
  /** No more output tokens than this are asked for. */
  most_tokens: number;
  /** No more than this fit beside the prompt of this call. */
  fitting_tokens: number;
  /** That a tool must be called, or none: by the parameter, or by words. */
  tool_choice: 'parameter' | 'words';
  /** The system prompt has its own role, or stands at the beginning of the user's. */
  system: 'role' | 'prompt';
  /** Calls have the ids that the server gave them, or made ones that every server takes. */
  call_ids: 'given' | 'made';
  /** Whether what came beside calls goes back with them. */
  metadata: 'sent' | 'dropped';
  /** Its texts begin before their thoughts, or amid them: the mark that begins them is then in the server's own prompt. */
  begins: 'before' | 'amid';
};

export function usualDialect({ vendor, model, base_url }: ModelTarget): Dialect {
  const isOpenAIs = !base_url || vendorOfModel(model) === 'openai';
  return {
    json: 'schema',
    stream: vendor === 'openai' ? 'counted' : 'plain',
    limit: isOpenAIs ? 'max_completion_tokens' : 'max_tokens',
    most_tokens: Infinity,
    fitting_tokens: Infinity,
    // Ollama has no parameter for it.
    tool_choice: vendor === 'ollama' ? 'words' : 'parameter',
    system: 'role',
    call_ids: 'given',
    metadata: 'sent',
    begins: 'before',
  };
}

/** How JSON is asked for where the vendor's schema parameter will not do. */
export function withoutSchema(vendor: Vendor): Dialect['json'] {
  return vendor === 'anthropic' ? 'words' : 'json';
}

/** A request that a server refused. `changed`: what of the dialect this very call has changed already. */
export type Refusal = {
  target: ModelTarget;
  request: ModelRequest;
  dialect: Dialect;
  changed: Partial<Dialect>;
  streams: boolean;
};

type Change = Partial<Dialect> | false | undefined;

/** The words by which servers name a part of a request, and how they are asked without it; nothing when it had none. */
type Row = { words: RegExp; instead: (refusal: Refusal, said: string) => Change };

/** An answer for which less than this is left is not worth asking for: the prompt is too long. */
const leastFitting = 256;

/** Servers of small contexts count the answer in, and say how large both are. */
const contextRow: Row = {
  words: /context (length|window|size)|max_new_tokens/i,
  instead({ request }, said) {
    const [, context] = /(?:context (?:length|window|size)|must be <=)\D{0,20}(\d{3,8})/i.exec(said) ?? [];
    const [, input] =
      /(\d{1,8}) (?:[`'"]?(?:inputs?|prompt)[`'"]? tokens|in the (?:messages|prompt))/i.exec(said) ?? [];
    const fitting_tokens = Number(context) - Number(input);
    return fitting_tokens >= leastFitting && fitting_tokens < request.max_output_tokens && { fitting_tokens };
  },
};

/** The first row that changes something counts, so what is named by more words stands before what is named by fewer. */
const ROWS: Row[] = [
  contextRow,
  {
    words: /stream_options|include_usage/i,
    instead: ({ streams, dialect }) => streams && dialect.stream === 'counted' && { stream: 'plain' },
  },
  {
    words: /max_\w*tokens|max\w*OutputTokens|num_predict|(output|completion) tokens/i,
    instead({ request, dialect }, said) {
      if (!/too |most|maximum|less|range|exceed|up to|[<>≤]/i.test(said)) return undefined;
      const asked = Math.min(request.max_output_tokens, dialect.most_tokens);
      const named = [...said.matchAll(/(?<![\w.-])\d{4,7}(?![\w-])/g)].map(Number);
      const most_tokens = Math.max(...named.filter((number) => number < asked));
      return most_tokens > 0 && { most_tokens };
    },
  },
  {
    words: /max_(completion_)?tokens/i,
    instead: ({ target, dialect, changed }) =>
      target.vendor === 'openai' &&
      !changed.limit && { limit: dialect.limit === 'max_tokens' ? 'max_completion_tokens' : 'max_tokens' },
  },
  {
    // Models refuse it while they think, and servers that have no parser for it.
    words: /tool.?choice|tool.?config|function.?calling.?config|allowed.?function.?names/i,
    instead: ({ request, dialect }) =>
      request.tool_choice && dialect.tool_choice === 'parameter' && { tool_choice: 'words' },
  },
  {
    // Mistral takes nine letters and digits, OpenAI no more than 40 characters, Anthropic no dots and colons.
    words: /call.?ids?\b|tool.?use.?ids?\b|tool_(calls|use)(\[\d+\])?\.id\b/i,
    instead: ({ request: { turns = [] }, dialect }) =>
      turns.length > 0 && dialect.call_ids === 'given' && { call_ids: 'made' },
  },
  {
    words: /reasoning|thinking|thought|signature|extra_content|provider_specific/i,
    instead: ({ request, dialect }) => hasMetadata(request) && dialect.metadata === 'sent' && { metadata: 'dropped' },
  },
  {
    words:
      /system['"`]? (role|message|prompt|instruction)|system_?instruction|['"`]system['"`]|developer instruction|roles? must alternate|only user and assistant/i,
    instead: ({ request, dialect }) => request.system !== '' && dialect.system === 'role' && { system: 'prompt' },
  },
  {
    words: /(?<!in)format|schema|json|structured|grammar|mime/i,
    instead({ target, request, dialect }) {
      if (!request.schema || dialect.json === 'words') return undefined;
      return { json: dialect.json === 'schema' ? withoutSchema(target.vendor) : 'words' };
    },
  },
  {
    // Models of OpenAI too, for organizations that are not verified.
    words: /(?<!up)stream/i,
    instead: ({ streams, dialect }) => streams && dialect.stream !== 'none' && { stream: 'none' },
  },
];

function hasMetadata({ turns = [] }: ModelRequest): boolean {
  return turns.some(({ calls }) => calls.some((call) => call.vendor_metadata ?? call.signature));
}

/** How a server that failed in this way may be asked instead, or undefined when that is for another reason. */
export function otherwise(refusal: Refusal, failure: unknown): Partial<Dialect> | undefined {
  const said = wordsOf(failure);
  const isTooLong = failure instanceof LlmError && failure.type === 'LlmContextTooLong';
  for (const { words, instead } of isTooLong ? [contextRow] : ROWS) {
    const change = words.test(said) && instead(refusal, said);
    if (change) return change;
  }
  return undefined;
}

/** What a server says that refuses a request for what stands in it. */
function wordsOf(failure: unknown): string {
  if (!(failure instanceof LlmError)) return '';
  const { type, said = '' } = failure;
  if (type === 'LlmBadRequest' || type === 'LlmContextTooLong') return said;
  // Where a model's template refuses, llama.cpp fails (500).
  return type === 'LlmUnavailable' && /support|not implemented|not enabled|must alternate/i.test(said) ? said : '';
}
