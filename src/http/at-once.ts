import { keyOf } from './auth.ts';
import type { AppEnv } from './env.ts';
import { createTurns, type Place } from './turns.ts';

type Fetch = (request: Request, env: AppEnv['Bindings']) => Response | Promise<Response>;

const most = 64;
/** By then its time is over: it is let in to be told so. */
const longest_ms = 2_000;

/**
 * An app that works on so many requests with one key at once. Others wait before it: each holds some 4 KiB there, and 50 on its way
 * through the app, and somebody may open as many connections as they like. An answer that is kept open (`keepOpen`) is none of them, nor is
 * a request whose body is still to come.
 */
export function inTurn(fetch: Fetch): Fetch {
  const turns = createTurns(most);

  async function takePlace(key: string): Promise<Place & { end: () => void }> {
    const enter = () => turns.enter(key, () => AbortSignal.timeout(longest_ms)).catch(() => () => {});
    let leave = await enter();
    let isOver = false;
    return {
      leave: () => leave(),
      async enter() {
        leave = await enter();
        // It was answered that its time is over, while it waited.
        if (isOver) leave();
      },
      end() {
        isOver = true;
        leave();
      },
    };
  }

  return async function inTurn(request, env) {
    const { 'x-api-key': own, authorization } = env.incoming.headers;
    const key = keyOf(own?.toString(), authorization);
    if (key === undefined) return fetch(request, env);
    const received = performance.now();
    const place = await takePlace(key);
    try {
      return await fetch(request, { ...env, received, place });
    } finally {
      place.end();
    }
  };
}
