import type { MiddlewareHandler } from 'hono';
import { except } from 'hono/combine';
import { createMiddleware } from 'hono/factory';
import { keep } from '../../http/caching.ts';
import type { AppEnv } from '../../http/env.ts';
import { limitBody, readBody, requireJson } from '../../http/body.ts';
import { addressOf, limit, limitAccount } from '../../http/limit.ts';
import type { createRouter } from '../../http/openapi.ts';
import { limitUnread } from '../../http/limit-unread.ts';
import { isUpload } from '../../http/upload.ts';
import { requireScope } from '../../http/auth.ts';
import { idempotency } from '../../http/idempotency.ts';
import { OrchagentError } from './envelope.ts';
import { answerToCall, readCall, takePost } from './calls.ts';
import { callOperation } from './schemas/call.ts';
import { isForm } from './sent.ts';
import { isCall, keyedSegments, publicSegments, whyNotOffered } from './paths.ts';
import { agentCodeRouter } from './routes/agent-code.ts';
import { agentCopiesRouter } from './routes/agent-copies.ts';
import { agentKeysRouter } from './routes/agent-keys.ts';
import { agentLogsRouter } from './routes/agent-logs.ts';
import { agentsRouter } from './routes/agents.ts';
import { apiKeysRouter } from './routes/api-keys.ts';
import { calledRunsRouter } from './routes/called-runs.ts';
import { metricsRouter } from './routes/metrics.ts';
import { organisationRouter } from './routes/organisation.ts';
import { publicRouter } from './routes/public.ts';
import { tracesRouter } from './routes/traces.ts';
import { usageRouter } from './routes/usage.ts';
import { inOwnWorkspace } from './workspace.ts';

/** What anybody may ask is answered alike for so long, in seconds. */
const publicFor = 60;

/** Skill packages have files in the body, of a million characters in all. */
const mostMebibytes = 4;

/** orchagent's paths, after all others: `/{org}/{agent}/{version}/{endpoint}` would take theirs. */
export function mountOrchagent(
  app: ReturnType<typeof createRouter>,
  { limits }: AppEnv['Variables']['deps'],
  authenticate: MiddlewareHandler<AppEnv>,
): void {
  for (const segment of publicSegments) {
    app.use(
      `/${segment}/*`,
      limitBody(1),
      requireJson(),
      readBody(),
      limit(() => [limits.publicPerAddress], addressOf),
    );
  }
  app.use('/public/*', keep(publicFor));
  for (const segment of keyedSegments) {
    app.use(
      `/${segment}/*`,
      except(isUpload, limitBody(mostMebibytes)),
      except(isUpload, requireJson()),
      authenticate,
      except(isUpload, readBody()),
      limitAccount(limits),
      limitUnread(),
      inOwnWorkspace(),
    );
  }
  app.route('/', organisationRouter);
  app.route('/agents', agentsRouter);
  app.route('/agents', agentKeysRouter);
  app.route('/agents', agentCodeRouter);
  app.route('/agents', agentCopiesRouter);
  app.route('/api-keys', apiKeysRouter);
  app.route('/public', publicRouter);
  app.route('/agents', agentLogsRouter);
  app.route('/usage', usageRouter);
  app.route('/workspaces', calledRunsRouter);
  app.route('/workspaces', tracesRouter);
  app.route('/workspaces', metricsRouter);
  app.use(refuseNotOffered());
  mountCalls(app, limits, authenticate);
}

function refuseNotOffered() {
  return createMiddleware<AppEnv>(async function refuseNotOffered(c, next) {
    const reason = whyNotOffered(c);
    if (reason !== undefined) throw new OrchagentError('NOT_FOUND', reason);
    await next();
  });
}

/** Longer inputs come as files. In MiB. */
const longestInput = 6;

/** What has no first segment of its own: each of these asks whether it is a call. */
function mountCalls(
  app: ReturnType<typeof createRouter>,
  limits: AppEnv['Variables']['deps']['limits'],
  authenticate: MiddlewareHandler<AppEnv>,
): void {
  const all = [
    takePost,
    except(isForm, limitBody(longestInput)),
    except(isForm, requireJson()),
    authenticate,
    except(isForm, readBody()),
    limitAccount(limits),
    limitUnread(),
    requireScope('agents:call', false),
    inOwnWorkspace(),
    readCall,
    idempotency({ isOfScopes: false }),
    answerToCall,
  ] as MiddlewareHandler[];
  for (const one of all) app.use(except((c) => !isCall(c), one));
  // A document with what is ours alone is refused by generators.
  const { middleware: _, ...told } = callOperation as typeof callOperation & { middleware?: unknown };
  app.openAPIRegistry.registerPath(told);
}
