import type { Context } from 'hono';
import type { z } from 'zod';
import { sha256 } from '../../crypto.ts';
import type { AppEnv } from '../../http/env.ts';
import { HttpError } from '../../http/problems.ts';
import { answerError } from './envelope.ts';
import type { batchResultsSchema, Operation } from './schemas/batch.ts';

/** The operations of a batch: each is a request of its own, asked of the same app by the same key. */

export type Ask = (request: Request, env: AppEnv['Bindings']) => Response | Promise<Response>;

type Result = z.infer<typeof batchResultsSchema>['results'][number];

/** Of all answers together, in bytes of JSON. */
const mostBytes = 8 * 1024 * 1024;
/** An operation that has not begun by then is not begun any more, in milliseconds since the batch has. */
export const latestBeginning = 30_000;
/** How long an answer may take that has begun. The time until it does is bounded as for all requests. */
const longestBody = 5_000;

const keptHeaders = ['etag', 'idempotency-replayed', 'location', 'retry-after'];

/**
 * Does one operation after the other, whatever becomes of those before. Those for which there is no time are answered 503: who
 * sends the batch again, with its `Idempotency-Key`, has them done, and the others not done again.
 */
export async function operate(c: Context<AppEnv>, ask: Ask, operations: Operation[]): Promise<Result[]> {
  const end = performance.now() + latestBeginning;
  const results: Result[] = [];
  let room = mostBytes;
  for (const [index, operation] of operations.entries()) {
    const isLate = performance.now() > end;
    const response = isLate ? tooLate(c) : await answerTo(c, ask, operation, index);
    const text = await textOf(response, room);
    room -= Buffer.byteLength(text ?? '');
    const headers = Object.fromEntries([...response.headers].filter(([name]) => keptHeaders.includes(name)));
    results.push({ status: response.status, headers, ...bodyOf(text) });
  }
  return results;
}

/** An operation that we fail at is its own failure: the others are answered. */
async function answerTo(c: Context<AppEnv>, ask: Ask, operation: Operation, index: number): Promise<Response> {
  try {
    return await ask(requestOf(c, operation, index), {
      ...c.env,
      isInBatch: true,
      received: undefined,
      place: undefined,
    });
  } catch (error) {
    c.var.deps.log.error({ err: error, request_id: c.var.requestId }, 'an operation of a batch failed');
    return answerError(error, c);
  }
}

function bodyOf(text: string | undefined): Pick<Result, 'body' | 'body_omitted'> {
  if (text === undefined) return { body: null, body_omitted: true };
  return { body: text === '' ? null : (JSON.parse(text) as unknown), body_omitted: false };
}

function requestOf(
  c: Context<AppEnv>,
  { method, path, body, if_match, ...operation }: Operation,
  index: number,
): Request {
  const headers = new Headers({ 'x-request-id': `${c.var.requestId}.${index}` });
  // By the same key, from the same address.
  for (const name of ['authorization', 'x-api-key', 'x-forwarded-for']) {
    const value = c.req.header(name);
    if (value !== undefined) headers.set(name, value);
  }
  const idempotency_key = operation.idempotency_key ?? keyOf(c.req.header('idempotency-key'), index);
  if (idempotency_key !== undefined) headers.set('idempotency-key', idempotency_key);
  if (if_match !== undefined) headers.set('if-match', if_match);
  const text = body === undefined || body === null ? undefined : JSON.stringify(body);
  if (text !== undefined) {
    headers.set('content-type', 'application/json');
    headers.set('content-length', String(Buffer.byteLength(text)));
  }
  return new Request(new URL(path, c.req.url), { method, headers, body: text });
}

/** A batch that is sent again has the same operations: its own key is of one body. */
function keyOf(ofBatch: string | undefined, index: number): string | undefined {
  return ofBatch === undefined ? undefined : `batch:${sha256(`${ofBatch}\n${index}`)}`;
}

function tooLate(c: Context<AppEnv>): Response {
  const detail = `Not begun: the ${latestBeginning / 1_000} seconds of the batch are over. Send it again.`;
  return answerError(new HttpError('UNAVAILABLE', detail, { retry_after_seconds: 1 }), c);
}

/** The JSON of an answer; undefined when it is longer than `room`, takes too long, or is no JSON. */
async function textOf(response: Response, room: number): Promise<string | undefined> {
  const { body, headers } = response;
  if (!body) return '';
  const type = headers.get('content-type') ?? '';
  const signal = AbortSignal.timeout(longestBody);
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = body.getReader();
  const stop = () => void reader.cancel().catch(() => {});
  signal.addEventListener('abort', stop);
  try {
    if (!/^application\/(problem\+)?json\b/.test(type)) return undefined;
    for (;;) {
      const { done, value } = await reader.read();
      if (signal.aborted) return undefined;
      if (done) return Buffer.concat(chunks).toString();
      size += value.length;
      if (size > room) return undefined;
      chunks.push(value);
    }
  } catch {
    // It broke off.
    return undefined;
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
}
