import type { MiddlewareHandler } from 'hono';
import { except } from 'hono/combine';
import type { AppDeps } from '../../deps.ts';
import type { AppEnv } from '../../http/env.ts';
import { limitBody, readBody, requireJson } from '../../http/body.ts';
import { limitAccount } from '../../http/limit.ts';
import type { createRouter } from '../../http/openapi.ts';
import { isUpload } from '../../http/upload.ts';
import { ownSegments } from './paths.ts';

/** orchagent's paths, after all others: `/{org}/{agent}/{version}/{endpoint}` would take theirs. */
export function mountOrchagent(
  app: ReturnType<typeof createRouter>,
  { limits }: AppDeps,
  authenticate: MiddlewareHandler<AppEnv>,
): void {
  for (const segment of ownSegments) {
    app.use(
      `/${segment}/*`,
      except(isUpload, limitBody(4)),
      except(isUpload, requireJson()),
      authenticate,
      except(isUpload, readBody()),
      limitAccount(limits),
    );
  }
}
