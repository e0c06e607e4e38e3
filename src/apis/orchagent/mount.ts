import type { MiddlewareHandler } from 'hono';
import { except } from 'hono/combine';
import type { AppDeps } from '../../deps.ts';
import type { AppEnv } from '../../http/env.ts';
import { limitBody, readBody, requireJson } from '../../http/body.ts';
import { limitAccount } from '../../http/limit.ts';
import type { createRouter } from '../../http/openapi.ts';
import { isUpload } from '../../http/upload.ts';
import { requireScope } from '../../http/auth.ts';
import { idempotency } from '../../http/idempotency.ts';
import { answerToCall, readCall, takePost } from './calls.ts';
import { isCall, ownSegments } from './paths.ts';
import { callOperation } from './schemas/call.ts';
import { isForm } from './sent.ts';

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
  mountCalls(app, limits, authenticate);
}

/** Longer inputs come as files. In MiB. */
const longestInput = 6;

/** What has no first segment of its own: each of these asks whether it is a call. */
function mountCalls(
  app: ReturnType<typeof createRouter>,
  limits: AppDeps['limits'],
  authenticate: MiddlewareHandler<AppEnv>,
): void {
  const all = [
    takePost,
    except(isForm, limitBody(longestInput)),
    except(isForm, requireJson()),
    authenticate,
    except(isForm, readBody()),
    limitAccount(limits),
    requireScope('agents:call', false),
    readCall,
    idempotency({ isOfScopes: false }),
    answerToCall,
  ] as MiddlewareHandler[];
  for (const one of all) app.use(except((c) => !isCall(c), one));
  app.openAPIRegistry.registerPath(callOperation);
}
