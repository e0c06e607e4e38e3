import { serverTiming } from '../../test/harness/server-timing.ts';
import type { Api } from '../requests.ts';
import { untilReached } from '../reached.ts';
import type { Entry, Operation } from '../journal.ts';
import type { Random } from '../random.ts';

/** Longer than an API may take, by more than a busy machine is late. */
const patience = 8_000;
const shownLength = 500;

/** What honest accounts have in their texts, and no other: an answer with one of these shows what is another's. */
const marksOfOthers =
  /\[run:(a|c|many)\d+|made-by-run_|\b(ann|bob)-says-|\breceipt-\d|sk-canary(a|b|crowd|caller)\d|file-says-/g;

/** What is asked of an API. */
export type Request = {
  method?: string;
  /** Below `/api/v1`, or `/codec/…`; or as it is. */
  path: string;
  isOfRoot?: true;
  /** A text is sent as it is, and so is what a function makes to be read; anything else as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
  /** In place of the tenant's own key; null sends none. */
  key?: string | null;
  /** The statuses that are promised for it. One that is one too many in a minute, or meets a fault, may have others. */
  due: number[];
  /** Seconds that the API is asked to wait. */
  wait?: number;
  /** The name of what it would make: nothing of that name is there when it is refused. */
  makes?: string;
  /** What it does to a run of the tenant's own. */
  operation?: Operation;
  /** Hangs up. */
  signal?: AbortSignal;
};

/** A request as it was answered. Times are milliseconds since 1970. */
export type Exchange = Omit<Request, 'body' | 'headers' | 'key' | 'signal'> & {
  op: string;
  method: string;
  api: string;
  invoked: number;
  ended: number;
  app_ms?: number;
  /** Undefined when there was no answer. */
  status?: number;
  /** What was said with an error. */
  body?: { code?: string; detail?: string };
  /** The tenant has hung up before. */
  left?: true;
  /** What the answer has of what is another's. */
  seen: string[];
};

/** A refusal in the house's words, or in orchagent's. */
type Refusal = { code?: string; detail?: string; error?: { code: string; reason?: string; message: string } };

/** An answer that was kept open, from its headers on. */
export type Held = { api: string; from: number; to: number };

export type Door = ReturnType<typeof createDoor>;

/** The way to the APIs: each request goes to one of them, and each is noted with its answer. */
export function createDoor({ apis, api_key, random }: { apis: Api[]; api_key: string; random: Random }) {
  const exchanges: Exchange[] = [];
  const held: Held[] = [];

  const open = (request: Request, api: Api, signal: AbortSignal) =>
    send({ ...request, key: request.key === undefined ? api_key : request.key }, api, signal);

  function begin(op: string, { method = 'GET', path, due, wait, makes, operation }: Request, api: Api): Exchange {
    const invoked = Date.now();
    return { op, method, path, due, wait, makes, operation, api: api.name, invoked, ended: 0, seen: [] };
  }

  function finish(exchange: Exchange, response?: Response, text = ''): void {
    exchange.ended = Date.now();
    exchanges.push(exchange);
    if (!response) return;
    exchange.status = response.status;
    exchange.app_ms = serverTiming(response.headers).app;
    exchange.seen = [...new Set(text.match(marksOfOthers))];
    if (response.ok) return;
    const { error, code = error?.reason ?? error?.code, detail = error?.message } = (parse(text) ?? {}) as Refusal;
    exchange.body = { code, detail: detail?.slice(0, shownLength) };
  }

  /** Resolves with the status, and the JSON of what is no error; with neither when there was no answer. */
  async function ask(op: string, request: Request): Promise<{ status?: number; body?: any }> {
    const api = random.pick(apis);
    const exchange = begin(op, request, api);
    const deadline = AbortSignal.timeout(patience + (request.wait ?? 0) * 1_000);
    const signal = request.signal ? AbortSignal.any([request.signal, deadline]) : deadline;
    try {
      const response = await untilReached(() => open(request, api, signal));
      const text = await response.text();
      finish(exchange, response, text);
      return { status: response.status, body: response.ok ? parse(text) : undefined };
    } catch (error) {
      exchange.body = { detail: String((error as Error).cause ?? error) };
      if (request.signal?.aborted) exchange.left = true;
      finish(exchange);
      return {};
    }
  }

  /** Holds the answer open, reading it, until it ends or `request.signal` is aborted. */
  async function hold(op: string, request: Request & { signal: AbortSignal }): Promise<void> {
    const api = random.pick(apis);
    const exchange = begin(op, request, api);
    let response: Response | undefined;
    let text = '';
    const place = { api: api.name, from: 0, to: 0 };
    try {
      response = await untilReached(() => open(request, api, request.signal));
      if (response.ok) place.from = Date.now();
      const decoder = new TextDecoder();
      for await (const chunk of response.body ?? []) text += decoder.decode(chunk as Uint8Array, { stream: true });
    } catch (error) {
      if (request.signal.aborted) exchange.left = true;
      else exchange.body = { detail: String((error as Error).cause ?? error) };
    }
    place.to = Date.now();
    if (place.from) held.push(place);
    finish(exchange, response, text);
  }

  return { ask, hold, exchanges, held };
}

function send({ method = 'GET', path, isOfRoot, body, headers, key }: Request, api: Api, signal: AbortSignal) {
  return fetch(`${api.url}${isOfRoot || path.startsWith('/codec') ? '' : '/api/v1'}${path}`, {
    method,
    headers: {
      ...(typeof key === 'string' && { 'x-api-key': key }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    body: sentAs(body),
    ...(typeof body === 'function' && { duplex: 'half' }),
    signal,
  });
}

function sentAs(body: unknown): RequestInit['body'] {
  if (typeof body === 'function') return (body as () => ReadableStream)();
  return body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What was done to runs of the tenant's own, as any client's journal has it. */
export function entriesOf(exchanges: Exchange[]): Entry[] {
  return exchanges.flatMap(({ operation, api, invoked, ended, app_ms, status, body }) => {
    if (!operation) return [];
    const isRefused = status !== undefined && status >= 400 && status < 500;
    const outcome = status !== undefined && status < 300 ? 'ok' : isRefused ? 'fail' : 'unknown';
    return [{ ...operation, api, invoked, ended, app_ms, status, body, outcome }];
  });
}
