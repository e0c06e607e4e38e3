import { serveStatic } from '@hono/node-server/serve-static';
import type { Context, MiddlewareHandler } from 'hono';
import { except } from 'hono/combine';
import { createMiddleware } from 'hono/factory';
import { methodNotAllowed } from 'hono/method-not-allowed';
import { secureHeaders } from 'hono/secure-headers';
import { requireApiKey } from './http/auth.ts';
import { limitBody, readBody, readRest, requireJson } from './http/body.ts';
import { answerInTime, createDeadline, serverTiming } from './http/deadline.ts';
import { allowOrigins } from './http/cross-origin.ts';
import { keep, keepNothing } from './http/caching.ts';
import type { AppDeps } from './deps.ts';
import type { AppEnv } from './http/env.ts';
import { docsPage, docsScript, swaggerAssets } from './http/docs.ts';
import { toPortable } from './http/document.ts';
import { isUpload } from './http/upload.ts';
import { problemPages } from './http/problem-pages.ts';
import { publicOrigin } from './http/public-origin.ts';
import { HttpError, notAllowed } from './http/problems.ts';
import { answerError as answerOrchestrationsError } from './apis/orchestrations/envelope.ts';
import { answerError as answerOrchagentError, OrchagentError } from './apis/orchagent/envelope.ts';
import { mountOrchagent } from './apis/orchagent/mount.ts';
import { isCall, isOrchagent } from './apis/orchagent/paths.ts';
import { answerError as answerOrchflowError } from './apis/orchflow/envelope.ts';
import { answerError as answerOrchstackError } from './apis/orchstack/envelope.ts';
import { answerError as answerOAuthError } from './apis/orchstack/oauth/errors.ts';
import { mountOrchstack } from './apis/orchstack/mount.ts';
import { isOAuth } from './apis/orchstack/oauth/paths.ts';
import { oauthRouter } from './apis/orchstack/oauth/routes.ts';
import { limitUnread } from './http/limit-unread.ts';
import { refuseNul } from './http/nul.ts';
import { newId } from './ids.ts';
import { addressOf, limit, limitAccount } from './http/limit.ts';
import { createRouter } from './http/openapi.ts';
import { agentRunsRouter } from './apis/orchflow/routes/agent-runs.ts';
import { agentsRouter } from './apis/orchflow/routes/agents.ts';
import { authRouter } from './apis/orchflow/routes/auth.ts';
import { mountCodec } from './apis/operators/codec.ts';
import { healthRouter } from './apis/operators/health.ts';
import { filesRouter } from './apis/orchflow/routes/files.ts';
import { inboxRouter } from './apis/orchflow/routes/inbox.ts';
import { keysRouter } from './apis/orchflow/routes/keys.ts';
import { mcpServersRouter } from './apis/orchflow/routes/mcp-servers.ts';
import { orchestrationRunsRouter } from './apis/orchestrations/routes/runs.ts';
import { startedRunsRouter } from './apis/orchestrations/routes/started-runs.ts';
import { orchestrationsRouter } from './apis/orchestrations/routes/orchestrations.ts';
import { peopleRouter } from './apis/orchflow/routes/people.ts';
import { providersRouter } from './apis/orchflow/routes/providers.ts';
import { auditRouter } from './apis/orchflow/routes/audit.ts';
import { runEventsRouter } from './apis/orchflow/routes/run-events.ts';
import { runStartsRouter } from './apis/orchflow/routes/run-starts.ts';
import { runsRouter } from './apis/orchflow/routes/runs.ts';
import { steeringRouter } from './apis/orchflow/routes/steering.ts';
import { tasksRouter } from './apis/orchflow/routes/tasks.ts';
import { templatesRouter } from './apis/orchflow/routes/templates.ts';
import { webhookSubscriptionsRouter } from './apis/orchflow/routes/webhook-subscriptions.ts';
import { webhooksRouter } from './apis/orchflow/routes/webhooks.ts';
import { toolsRouter } from './apis/orchflow/routes/tools.ts';

/** What clients call, each path for one of the surfaces. */
const surfaces = ['/api/*', '/v1/*'];

/** The map of the API: public mounts, the auth line, protected mounts, errors. */
export function createApp(deps: AppDeps) {
  const app = createRouter();
  const { HSTS_SECONDS } = deps.config;

  for (const path of [...surfaces, '/codec/*', '/.well-known/*']) app.use(path, keepNothing());
  for (const path of ['/openapi.json', '/docs/*', '/problems/*']) app.use(path, keep(300));
  app.use(onOrchagent(keepNothing()));
  app.use(
    provide(deps),
    secureHeaders({
      strictTransportSecurity: HSTS_SECONDS > 0 && `max-age=${HSTS_SECONDS}`,
      crossOriginResourcePolicy: false,
      xXssProtection: false,
    }),
    logRequests(),
    readRest(),
    answerInTime(),
    refuseNul(),
    methodNotAllowed({ app, onMethodNotAllowed: answerOtherMethod }),
  );
  // The codec has origins of its own.
  for (const path of [...surfaces, '/.well-known/*', '/health', '/openapi.json'])
    app.use(path, allowOrigins(deps.config.CORS_ORIGINS));
  app.use(onOrchagent(allowOrigins(deps.config.CORS_ORIGINS)), answerOptions());
  for (const path of surfaces) {
    app.use(path, except(isUpload, limitBody(1)), except([isUpload, isOAuth], requireJson()));
  }

  app.use(
    '/api/v1/auth/register',
    readBody(),
    limit(() => [deps.limits.perAddress], addressOf),
  );
  app.route('/', healthRouter);
  app.route('/api/v1/auth', authRouter);
  app.route('/api/v1/agents', templatesRouter);
  app.route('/problems', problemPages);
  app.route('/', oauthRouter);
  mountDocs(app, deps);
  mountCodec(app, deps);

  const authenticate = requireApiKey(deps);
  const keyed = [authenticate, except(isUpload, readBody()), limitAccount(deps.limits), limitUnread()] as const;
  for (const path of ['/api/v1/*', '/v1/*']) app.use(path, except('/api/v1/auth/*', ...keyed));

  app.route('/api/v1/runs', runStartsRouter);
  app.route('/api/v1/runs', runsRouter);
  app.route('/api/v1/runs', runEventsRouter);
  app.route('/api/v1/runs', tasksRouter);
  app.route('/api/v1/runs', auditRouter);
  app.route('/api/v1/runs', steeringRouter);
  app.route('/api/v1/agents', agentsRouter);
  app.route('/api/v1/agents', agentRunsRouter);
  app.route('/api/v1/providers', providersRouter);
  app.route('/api/v1/tools', toolsRouter);
  app.route('/api/v1/tools/mcp', mcpServersRouter);
  // The runs come first: `/runs` is no `/{orch_id}`.
  app.route('/api/v1/orchestrations', orchestrationRunsRouter);
  app.route('/api/v1/orchestrations', startedRunsRouter);
  app.route('/api/v1/orchestrations', orchestrationsRouter);
  app.route('/api/v1/webhooks', webhooksRouter);
  app.route('/api/v1/webhooks/subscriptions', webhookSubscriptionsRouter);
  app.route('/api/v1/keys', keysRouter);
  app.route('/api/v1/people', peopleRouter);
  app.route('/api/v1/inbox', inboxRouter);
  app.route('/api/v1/files', filesRouter);
  mountOrchstack(app);
  mountOrchagent(app, deps, authenticate);

  app.notFound((c) => answerError(new HttpError('NOT_FOUND', 'Page not found.'), c));
  app.onError((error, c) => {
    const response = answerError(error, c);
    // A client that hangs up, or is cut, is no failure of ours.
    // That of an agent that was called is its own.
    if (response.status === 500 && !(error instanceof OrchagentError) && !c.req.raw.signal.aborted)
      deps.log.error({ err: error, request_id: c.var.requestId }, 'request failed');
    return response;
  });
  return app;
}

function mountDocs(app: ReturnType<typeof createRouter>, { version, config }: AppDeps) {
  app.openAPIRegistry.registerComponent('securitySchemes', 'apiKey', {
    type: 'apiKey',
    in: 'header',
    name: 'X-API-Key',
  });
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' });
  let document: object | undefined;
  app.get('/openapi.json', (c) => {
    document ??= toPortable(app.getOpenAPI31Document(description(version))) as object;
    // Tools that import it know no address that it is relative to.
    return c.json({ ...document, servers: [{ url: publicOrigin(c, config) }] });
  });
  app.get('/docs', docsPage);
  app.get('/docs/start.js', docsScript);
  app.get(
    '/docs/assets/*',
    serveStatic({ root: swaggerAssets, rewriteRequestPath: (path) => path.slice('/docs/assets'.length) }),
  );
}

/** Of no path are there routes for OPTIONS, but for the codec's, OAuth's and calls of agents: what a path takes is told to anybody, as what it does not. */
function answerOptions() {
  return createMiddleware<AppEnv>(async function answerOptions(c, next) {
    const isOthers = c.req.path.startsWith('/codec/') || isOAuth(c) || isCall(c);
    return c.req.method === 'OPTIONS' && !isOthers ? c.notFound() : next();
  });
}

function answerOtherMethod(c: Context, allow: string[]): Response {
  if (c.req.method !== 'OPTIONS') return answerError(notAllowed(c.req.method, allow), c);
  return new Response(null, { status: 204, headers: { Allow: [...allow, 'OPTIONS'].join(', ') } });
}

/** Its paths have no first segment of their own. */
function onOrchagent(middleware: MiddlewareHandler<AppEnv>) {
  return except((c) => !isOrchagent(c), middleware);
}

/** Each surface puts errors into its own words. */
function answerError(error: unknown, c: Context): Response {
  if (isOrchagent(c)) return answerOrchagentError(error, c);
  if (isOAuth(c)) return answerOAuthError(error, c);
  if (c.req.path.startsWith('/v1/')) return answerOrchstackError(error, c);
  const isOrchestrations = c.req.path.startsWith('/api/v1/orchestrations');
  return isOrchestrations ? answerOrchestrationsError(error, c) : answerOrchflowError(error, c);
}

function description(version: string) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Orchflow',
      version,
      description:
        'AI does the work. You make the calls. One request turns a goal into finished work by AI agents and people.\n\n' +
        'In requests, null for a field is the same as no such field. Fields and query parameters that an operation does not ' +
        'have are refused with 422; where other fields are taken, the answer names them in `warnings`.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    tags: [
      { name: 'Auth', description: 'An account and its API keys.' },
      { name: 'Runs', description: 'Goals at work: started, followed, cancelled, done again from a task on.' },
      { name: 'Tasks', description: 'The parts of a run, and the answers that people give.' },
      { name: 'People', description: 'Who answers, what they know, and what waits for them.' },
      { name: 'Steering', description: 'What people change in a run under way, beside answering.' },
      { name: 'Agents', description: 'Agents that last, with their versions, and the built-in ones.' },
      { name: 'Providers', description: 'The LLM vendors of an account, with its own keys.' },
      { name: 'Tools', description: 'What agents may call, and the MCP servers that have more.' },
      { name: 'Orchestrations', description: 'Definitions of steps in an order of your own.' },
      { name: 'Orchestration runs', description: 'Orchestrations at work.' },
      { name: 'Webhooks', description: 'Who hears of your runs, what was sent, and the secrets of its signatures.' },
      { name: 'Files', description: 'What people and agents work from.' },
      { name: 'OrchStack workflows', description: 'Orchestrations, in the words of OrchStack.' },
      {
        name: 'OrchStack webhooks',
        description: "Who hears of agents, workflows and documents, in OrchStack's words.",
      },
      { name: 'OrchStack batch', description: 'Many operations in one request.' },
      { name: 'OrchStack agents', description: 'The agents of an account, in the words of OrchStack.' },
      { name: 'OrchStack runs', description: 'Runs with their traces, and the gates at which they wait.' },
      { name: 'OrchStack keys', description: 'API keys, and the applications that accounts let act for them.' },
      { name: 'orchagent calls', description: 'Agents of organisations, called by version.' },
      {
        name: 'orchagent runs',
        description: 'Calls of agents as runs: their logs, their traces, and who has called whom.',
      },
      { name: 'orchagent usage', description: 'What calls of agents have come to.' },
      { name: 'Knowledge', description: 'Documents that agents and people search in.' },
      { name: 'orchagent agents', description: 'Agents as they are published: each version by its own id.' },
      { name: 'orchagent public', description: 'What anybody may know of the agents that are public.' },
      { name: 'orchagent keys', description: "API keys in orchagent's words, and those that agents have." },
      { name: 'orchagent organisation', description: 'Who a key is of: an organisation, its workspace and its user.' },
      { name: 'Health', description: 'For load balancers and operators.' },
    ],
  };
}

function provide(deps: AppDeps) {
  return createMiddleware<AppEnv>(async function provide(c, next) {
    const given = c.req.header('x-request-id');
    const requestId = given && /^[\w.-]{1,100}$/.test(given) ? given : newId('request');
    const deadline = createDeadline(c.env.received);
    c.set('deadline', deadline);
    c.set('deps', deps);
    c.set('requestId', requestId);
    c.header('X-Request-Id', requestId);
    await next();
    c.res.headers.set('Server-Timing', serverTiming(deadline));
  });
}

function logRequests() {
  return createMiddleware<AppEnv>(async (c, next) => {
    const start = performance.now();
    await next();
    const { log } = c.var.deps;
    const ms = Math.round(performance.now() - start);
    log.debug(
      { method: c.req.method, path: c.req.path, status: c.res.status, ms, request_id: c.var.requestId },
      'request',
    );
  });
}
