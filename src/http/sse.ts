import type { Context } from 'hono';
import { accepts } from 'hono/accepts';
import { InvalidInputError } from '../errors.ts';
import { forgetBody } from './body.ts';
import type { AppEnv } from './env.ts';

/** One server-sent event. Without `id` it leaves alone what a reader resumes from; without `event` it is a `message`. */
export type ServerSentEvent = { id?: string; event?: string; data: unknown };

/** How soon a reader whose connection was lost shall come back, in milliseconds. It is a line of the first event's block. */
const retry = 1_000;

/** Whoever takes both gets JSON: generated clients name all that an operation can answer. */
export function prefersEvents(c: Context): boolean {
  const supports = ['application/json', 'text/event-stream'];
  return accepts(c, { header: 'Accept', supports, default: 'application/json' }) === 'text/event-stream';
}

/**
 * Answers with server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), `null` being a
 * comment that keeps the connection alive. No block is without data: httpx-sse, which knows no better, would take it for
 * an empty event. A reader that is slow is waited for, with one event in hand; one that leaves aborts the signal that `open`
 * gets. One whose key is taken back meanwhile gets no more. Throws `InvalidInputError` within a batch.
 */
export function sendEvents(
  c: Context<AppEnv>,
  open: (signal: AbortSignal) => AsyncIterator<ServerSentEvent | null>,
): Response {
  if (c.env.isInBatch) throw new InvalidInputError([{ path: [], detail: 'is a stream, which no batch answers' }]);
  forgetBody(c);
  const reader = new AbortController();
  const events = open(reader.signal);
  const encoder = new TextEncoder();
  const leave = async () => {
    reader.abort();
    await events.return?.();
  };
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(`retry: ${retry}\n`));
    },
    async pull(controller) {
      const { done, value } = await events.next().catch((error: unknown) => {
        c.var.deps.log.error({ err: error, request_id: c.var.requestId }, 'a stream failed');
        throw error;
      });
      if (done) return controller.close();
      if ((await c.var.isLetIn?.()) === false) {
        controller.close();
        return leave();
      }
      controller.enqueue(encoder.encode(value ? format(value) : ': still here\n'));
    },
    cancel: leave,
  });
  return c.body(body, 200, {
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-store, no-transform',
    // nginx would hold events back.
    'X-Accel-Buffering': 'no',
  });
}

function format({ id, event, data }: ServerSentEvent): string {
  const name = event === undefined ? '' : `event: ${event}\n`;
  return `${id === undefined ? '' : `id: ${id}\n`}${name}data: ${JSON.stringify(data)}\n\n`;
}
