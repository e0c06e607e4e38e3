import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { readBlocks } from '../../src/llm/blocks.ts';
import { patience, soon } from '../harness/patience.ts';
import { framesOf, piecesOf, STREAMS } from './stream.ts';
import type { FakeToolCall } from './tools.ts';
import {
  BASE_PATHS,
  decodeRequest,
  encodeAnswer,
  encodeError,
  type DecodedRequest,
  type FakeVendor,
  type Finish,
} from './wire.ts';

export type Purpose = 'split' | 'infer' | 'execute' | 'evaluate' | 'finalize' | 'route';

/** One request that reached the fake. `received_at` and the like are milliseconds of `performance.now()`. */
export type ModelCall = DecodedRequest & {
  purpose: Purpose;
  /** From the block `<task id="T2" …>`. */
  task_id?: string;
  /** From a `[run:NAME]` anywhere in the prompt, so that a test can tell its runs apart by their goals. */
  run_marker?: string;
  headers: IncomingMessage['headers'];
  /** The wire body as sent. */
  body: Record<string, any>;
  received_at: number;
  answered_at?: number;
  /** When the connection was free again, or lost. */
  closed_at?: number;
  /** The client hung up before it had the whole answer. */
  client_closed: boolean;
};

/**
 * What a handler may answer: a string is the model's text; `{ status }` is raw HTTP (without `body`: the vendor's own
 * error body); `hang`, `cut` and `finish` are the ways a model call goes wrong; `say` streams these pieces, and then
 * ends as `ending` says; `call` calls tools; any other object is sent as JSON text.
 */
export type Reply =
  | string
  | { status: number; headers?: Record<string, string>; body?: unknown }
  | { hang: 'before_headers' | 'after_headers' }
  | { cut: true }
  | { finish: Finish; text: string }
  | { call: FakeToolCall[]; text?: string; finish?: Finish }
  | { say: string | AsyncIterable<string>; ending?: 'finish' | 'end' | 'reset' | 'hang' | 'error' | 'half a frame' }
  | Record<string, unknown>;
export type Handler = (call: ModelCall) => Reply | undefined | Promise<Reply | undefined>;
export type FakeModel = Awaited<ReturnType<typeof startFakeModel>>;

const PURPOSES: Record<string, Purpose> = {
  "You are Orchflow's planner.": 'split',
  "You are Orchflow's dependency analyst.": 'infer',
  "You are Orchflow's evaluator.": 'evaluate',
  "You are Orchflow's editor.": 'finalize',
  "You are Orchflow's router.": 'route',
};

/**
 * A real HTTP server on 127.0.0.1 that speaks the wire formats of OpenAI, Anthropic, Gemini and Ollama.
 * Script it with `fake.on(handler)`; the latest handler that returns something answers.
 */
export async function startFakeModel() {
  let handlers: Handler[] = [];
  let openCalls = 0;
  let watchers: (() => void)[] = [];

  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    serve(request, response).catch((error: unknown) => {
      fake.unscripted.push(`${request.method} ${request.url}: the fake failed: ${String(error)}`);
      if (!response.headersSent) sendJson(response, 500, { error: String(error) });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const fake = {
    url,
    calls: [] as ModelCall[],
    /** One line for each request that no handler answered. */
    unscripted: [] as string[],
    /** Waited before every answer. */
    latency_ms: 0,
    maxOpenCalls: 0,
    /** What Ollama's `GET /api/tags` lists. */
    ollamaModels: ['llama3'],

    /** Calls now in flight. */
    get openCalls() {
      return openCalls;
    },
    baseUrl: (vendor: FakeVendor) => url + BASE_PATHS[vendor],
    /** Adds a handler before the others. It may await to delay its answer, and return undefined to pass. */
    on(handler: Handler) {
      handlers.unshift(handler);
      return fake;
    },
    callsFor: (purpose: Purpose) => fake.calls.filter((call) => call.purpose === purpose),
    /** Resolves as soon as `condition` holds, looked at whenever a call arrives, is answered or is closed. */
    /** Until nobody waits for an answer any more: who cancels a call is told of it at once, and hangs up. */
    untilHungUp: (): Promise<void> => fake.until(() => fake.openCalls === 0, 'all calls are closed', soon),
    async until(condition: () => boolean, what = String(condition), deadline_ms = patience): Promise<void> {
      if (condition()) return;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const watch = () => condition() && resolve();
      const timer = setTimeout(
        () => reject(new Error(`not within ${deadline_ms} ms: ${what}\n${list()}`)),
        deadline_ms,
      );
      watchers.push(watch);
      await promise.finally(() => {
        clearTimeout(timer);
        watchers = watchers.filter((other) => other !== watch);
      });
    },
    /** The first call that matches, waiting for it if it has not arrived yet. */
    async waitForCall(matches: (call: ModelCall) => boolean = () => true, deadline_ms = patience): Promise<ModelCall> {
      await fake.until(() => fake.calls.some(matches), `a call with ${String(matches)}`, deadline_ms);
      return fake.calls.find(matches)!;
    },
    /** For afterEach. */
    assertNothingUnscripted() {
      if (fake.unscripted.length) throw new Error(`Unscripted model calls:\n  ${fake.unscripted.join('\n  ')}`);
    },
    /** Forgets handlers and calls, and hangs up on calls still open. */
    reset() {
      handlers = [];
      fake.calls = [];
      fake.unscripted = [];
      fake.latency_ms = 0;
      fake.maxOpenCalls = 0;
      if (openCalls) server.closeAllConnections();
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
  return fake;

  async function serve(request: IncomingMessage, response: ServerResponse) {
    const path = new URL(request.url!, url).pathname;
    if (request.method === 'GET' && path === '/ollama/api/tags') {
      return sendJson(response, 200, { models: fake.ollamaModels.map((name) => ({ name, model: name })) });
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const received_at = performance.now();
    const body = JSON.parse(Buffer.concat(chunks).toString() || '{}') as Record<string, any>;
    const decoded = request.method === 'POST' ? decodeRequest(path, request.headers, body) : undefined;
    if (!decoded) {
      fake.unscripted.push(`${request.method} ${path}: no vendor has this path`);
      return sendJson(response, 404, { error: 'no such path in the fake' });
    }
    const call: ModelCall = {
      ...decoded,
      purpose: PURPOSES[decoded.system.split('\n', 1)[0]!.trim()] ?? 'execute',
      task_id: readBlocks(decoded.prompt).find(({ tag }) => tag === 'task')?.attributes.id,
      run_marker: /\[run:([^\]\s]+)\]/.exec(decoded.prompt)?.[1],
      headers: request.headers,
      body,
      received_at,
      client_closed: false,
    };
    fake.calls.push(call);
    openCalls += 1;
    fake.maxOpenCalls = Math.max(fake.maxOpenCalls, openCalls);
    response.on('close', () => {
      openCalls -= 1;
      call.closed_at = performance.now();
      call.client_closed ||= !response.writableFinished && call.answered_at === undefined;
      changed();
    });
    changed();

    const reply = await firstReply(call);
    if (fake.latency_ms) await delay(fake.latency_ms);
    if (!response.destroyed) await send(call, reply, response);
  }

  async function firstReply(call: ModelCall): Promise<Reply> {
    for (const handler of handlers) {
      const reply = await handler(call);
      if (reply !== undefined) return reply;
    }
    fake.unscripted.push(describe(call));
    return { status: 500, body: encodeError(call.vendor, 500, `unscripted: ${describe(call)}`) };
  }

  async function send(call: ModelCall, reply: Reply, response: ServerResponse) {
    if (typeof reply === 'string') return answer(reply);
    if ('say' in reply) return say(call, reply as Extract<Reply, { say: unknown }>, response);
    if ('hang' in reply) {
      if (reply.hang === 'after_headers')
        response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
      return;
    }
    if ('cut' in reply) {
      if (call.stream) return say(call, { say: 'this answer never arrives whole', ending: 'reset' }, response);
      const whole = JSON.stringify(encodeAnswer(call, 'this answer never arrives whole', 'stop'));
      call.answered_at = performance.now();
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': whole.length });
      response.write(whole.slice(0, whole.length / 2), () => response.socket?.destroy());
      return;
    }
    if ('status' in reply && typeof reply.status === 'number') {
      const { status, headers, body = encodeError(call.vendor, status, `fake ${status} for ${call.api_key}`) } = reply;
      call.answered_at = performance.now();
      // Vendors repeat the key. An SDK's error has the headers too.
      return sendJson(response, status, body, { 'x-your-key': call.api_key ?? '', ...(headers as object) });
    }
    if ('call' in reply) {
      const { call: called, text = '', finish } = reply as Extract<Reply, { call: unknown }>;
      const known = call.calls.length;
      return answer(
        text,
        finish,
        called.map((tool, index) => ({ id: `fake_call_${known + index}`, ...tool })),
      );
    }
    if ('finish' in reply && 'text' in reply) {
      return answer(reply.text as string, reply.finish as Finish);
    }
    return answer(JSON.stringify(reply));

    function answer(text: string, finish: Finish = 'stop', called: FakeToolCall[] = []) {
      call.answered_at = performance.now();
      if (!call.stream) return sendJson(response, 200, encodeAnswer(call, text, finish, called));
      response.writeHead(200, { 'content-type': STREAMS[call.vendor].type });
      for (const frame of framesOf(call, text, finish, called)) response.write(frame);
      response.end();
    }
  }

  async function say(
    call: ModelCall,
    { say: said, ending = 'finish' }: Extract<Reply, { say: unknown }>,
    response: ServerResponse,
  ) {
    if (!call.stream) throw new Error(`${call.vendor} was not asked to stream`);
    const { type, head, piece, tail, error } = STREAMS[call.vendor];
    response.writeHead(200, { 'content-type': type });
    for (const frame of head(call)) response.write(frame);
    let text = '';
    for await (const part of typeof said === 'string' ? piecesOf(said) : said) {
      text += part;
      await new Promise((written) => response.write(piece(call, part), written));
    }
    if (ending === 'hang' || response.destroyed) return;
    call.answered_at = performance.now();
    if (ending === 'reset') return response.socket?.destroy();
    if (ending === 'error') response.write(error);
    if (ending === 'half a frame') response.write(piece(call, 'cut').slice(0, -12));
    response.end(ending === 'finish' ? tail(call, text, 'stop').join('') : undefined);
  }

  function changed() {
    for (const watch of watchers) watch();
  }

  function list(): string {
    return fake.calls
      .map((call) => `  ${describe(call)}${call.client_closed ? ' (closed by the client)' : ''}`)
      .join('\n');
  }
}

function describe({ vendor, model, purpose, task_id, prompt }: ModelCall): string {
  const start = prompt.slice(0, 100).replaceAll(/\s+/g, ' ');
  return `${purpose}${task_id ? ` ${task_id}` : ''} to ${vendor} ${model}: ${start}`;
}

/** A string body is sent as it is. */
function sendJson(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
}
