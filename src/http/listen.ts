import type { Server } from 'node:http';
import { serve } from '@hono/node-server';
import type { Hono } from 'hono';
import type { Config } from '../config.ts';
import { inTurn } from './at-once.ts';
import type { AppEnv } from './env.ts';

type HttpSettings = Pick<
  Config,
  | 'HOST'
  | 'PORT'
  | 'HTTP_HEADERS_TIMEOUT_SECONDS'
  | 'HTTP_REQUEST_TIMEOUT_SECONDS'
  | 'HTTP_KEEP_ALIVE_SECONDS'
  | 'HTTP_SEND_TIMEOUT_SECONDS'
>;

/**
 * Serves the app. A client that takes too long to send its headers, or its request, gets 408 and is cut, so that slow
 * ones hold no connection for ever; for how long an answer is read, or streamed, there is no limit, as long as some of it is read.
 */
export function listen(app: Pick<Hono<AppEnv>, 'fetch'>, config: HttpSettings): Server {
  const requestTimeout = config.HTTP_REQUEST_TIMEOUT_SECONDS * 1000;
  const headersTimeout = Math.min(config.HTTP_HEADERS_TIMEOUT_SECONDS * 1000, requestTimeout);
  const server = serve({
    // Of the two protocols that the server knows it is given the first.
    fetch: inTurn(app.fetch) as typeof app.fetch,
    hostname: config.HOST,
    port: config.PORT,
    serverOptions: {
      requestTimeout,
      headersTimeout,
      keepAliveTimeout: config.HTTP_KEEP_ALIVE_SECONDS * 1000,
      connectionsCheckingInterval: Math.min(headersTimeout, 1_000),
      maxHeaderSize: 16 * 1024,
    },
  }) as Server;
  // Requests that are sent one after another, before the first is answered, each listen to their connection: Node would warn of a leak.
  server.on('connection', (socket) => socket.setMaxListeners(0));
  return server.setTimeout(config.HTTP_SEND_TIMEOUT_SECONDS * 1000);
}
