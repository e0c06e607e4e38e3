import type { AppEnv } from './env.ts';
import { createTurns } from './turns.ts';

type Fetch = (request: Request, env: AppEnv['Bindings']) => Response | Promise<Response>;

const most = 64;

/**
 * An app that works on so many requests with one key at once. Others wait before it: each holds some 4 KiB there, and 50 on its way
 * through the app, and somebody may open as many connections as they like. An answer that is kept open (`keepOpen`) is none of them.
 */
export function inTurn(fetch: Fetch): Fetch {
  const turns = createTurns(most);
  return async function inTurn(request, env) {
    const { 'x-api-key': own, authorization } = env.incoming.headers;
    const key = authorization ?? own;
    if (typeof key !== 'string') return fetch(request, env);
    const leaveWork = await turns.enter(key);
    try {
      return await fetch(request, { ...env, leaveWork });
    } finally {
      leaveWork();
    }
  };
}
