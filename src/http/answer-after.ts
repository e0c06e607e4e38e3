import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from 'hono';
import { forgetBody } from './body.ts';
import { breakOff } from './break-off.ts';
import { besides, createDeadline } from './deadline.ts';
import type { AppEnv } from './env.ts';
import { requireRead } from './limit-unread.ts';
import { HttpError } from './problems.ts';

/**
 * How long an answer may say nothing, in milliseconds. Clients give up after 5 seconds of silence (httpx), or 10 (okhttp),
 * proxies after 60 (nginx).
 */
const mostSilence = 3_000;

type Wait<T, R extends Response> = {
  /** What the client has asked for. */
  most_ms: number;
  /** Resolves after that time at the latest. */
  wait: (most_ms: number) => Promise<T>;
  /** JSON. */
  answer: (waited: T) => R | Promise<R>;
  /** What is true all the same when a failure comes after the answer has begun. Without it, or where it throws, the connection is reset. */
  otherwise?: (failure: unknown) => R;
};

/**
 * Answers after a wait that no proxy and no client cuts for its silence. A wait that is over within three seconds, or may
 * not last longer, is answered as it is. Another begins to answer then: 200, and a white space every three seconds, which
 * JSON allows before a value (https://www.rfc-editor.org/rfc/rfc8259#section-2), until the answer follows. Whatever can
 * refuse the request comes before the wait, but for a key that is taken back meanwhile. Within a batch nothing is waited for.
 */
export async function answerAfter<T, R extends Response>(c: Context<AppEnv>, asked: Wait<T, R>): Promise<R> {
  forgetBody(c);
  const most_ms = Math.min(asked.most_ms, longestFor(c));
  const waited = asked.wait(most_ms).then((value) => ({ value }));
  waited.catch(() => {});
  const isLong = most_ms > mostSilence;
  const soon = await besides(c, Math.min(most_ms, mostSilence), () => (isLong ? within(mostSilence, waited) : waited));
  if (soon) return made(c, asked, soon.value);

  const text = textOf(c, { ...asked, most_ms: most_ms - mostSilence }, waited);
  text.catch((error: unknown) => breakOff(c, error));
  c.set('begun', true);
  const headers = {
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store, no-transform',
    // nginx would hold the white space back.
    'X-Accel-Buffering': 'no',
  };
  const response: unknown = c.body(ReadableStream.from(withWhiteSpace(text)), 200, headers);
  return response as R;
}

function longestFor(c: Context<AppEnv>): number {
  if (c.env.isInBatch) return 0;
  // HEAD has no body that could begin.
  return c.req.method === 'HEAD' ? mostSilence : Infinity;
}

/**
 * The answer. Of an account that leaves too much unread, what is true without it, which who asks again is not told; a read is refused
 * with 429, or breaks off where it has begun; and what was done and has nothing else to say is said.
 */
async function made<T, R extends Response>(
  c: Context<AppEnv>,
  { answer, otherwise }: Wait<T, R>,
  value: T,
): Promise<R> {
  try {
    requireRead(c);
  } catch (error) {
    if (otherwise) {
      c.set('keepsNoAnswer', Promise.resolve());
      return otherwise(error);
    }
    if (c.req.method === 'GET') throw error;
  }
  return answer(value);
}

/** The answer, when it has begun before: our own work after the wait has a deadline here too. */
async function textOf<T, R extends Response>(
  c: Context<AppEnv>,
  asked: Wait<T, R>,
  waited: Promise<{ value: T }>,
): Promise<string> {
  const deadline = createDeadline();
  const answered = deadline
    .besides(asked.most_ms, () => waited)
    .then(async ({ value }) => {
      if ((await c.var.isLetIn?.()) === false) throw new HttpError('UNAUTHORIZED', 'The key was taken back meanwhile.');
      return (await made(c, asked, value)).text();
    });
  try {
    return await Promise.race([answered, deadline.late]);
  } catch (error) {
    if (asked.otherwise) return await asked.otherwise(error).text();
    throw error;
  } finally {
    deadline.end();
  }
}

/** White space until the text is there. The first leaves at once, so that proxies see a living answer. */
async function* withWhiteSpace(text: Promise<string>): AsyncGenerator<Uint8Array> {
  for (;;) {
    yield Buffer.from(' ');
    const rest = await within(mostSilence, text);
    if (rest !== undefined) return yield Buffer.from(rest);
  }
}

/** Undefined when it takes longer. */
async function within<T>(milliseconds: number, value: Promise<T>): Promise<T | undefined> {
  const over = new AbortController();
  try {
    return await Promise.race([value, sleep(milliseconds, undefined, { signal: over.signal })]);
  } finally {
    over.abort();
  }
}
