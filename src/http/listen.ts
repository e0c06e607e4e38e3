import { serve, type ServerType } from '@hono/node-server';
import type { Hono } from 'hono';
import type { Config } from '../config.ts';
import type { AppEnv } from './env.ts';

type HttpSettings = Pick<
  Config,
  'HOST' | 'PORT' | 'HTTP_HEADERS_TIMEOUT_SECONDS' | 'HTTP_REQUEST_TIMEOUT_SECONDS' | 'HTTP_KEEP_ALIVE_SECONDS'
>;

/**
 * Serves the app. A client that takes too long to send its headers, or its request, gets 408 and is cut, so that slow
 * ones hold no connection for ever; for how long an answer is read, or streamed, there is no limit.
 */
export function listen(app: Pick<Hono<AppEnv>, 'fetch'>, config: HttpSettings): ServerType {
  const requestTimeout = config.HTTP_REQUEST_TIMEOUT_SECONDS * 1000;
  const headersTimeout = Math.min(config.HTTP_HEADERS_TIMEOUT_SECONDS * 1000, requestTimeout);
  return serve({
    fetch: app.fetch,
    hostname: config.HOST,
    port: config.PORT,
    serverOptions: {
      requestTimeout,
      headersTimeout,
      keepAliveTimeout: config.HTTP_KEEP_ALIVE_SECONDS * 1000,
      connectionsCheckingInterval: Math.min(headersTimeout, 1_000),
      maxHeaderSize: 16 * 1024,
    },
  });
}
