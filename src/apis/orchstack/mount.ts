import type { createRouter } from '../../http/openapi.ts';
import { agentRunsRouter } from './routes/agent-runs.ts';
import { agentsRouter } from './routes/agents.ts';
import { apiKeysRouter } from './routes/api-keys.ts';
import { createBatchRouter } from './routes/batch.ts';
import { documentsRouter } from './routes/documents.ts';
import { gatesRouter } from './routes/gates.ts';
import { knowledgeRouter } from './routes/knowledge.ts';
import { oauthClientsRouter } from './routes/oauth-clients.ts';
import { oauthGrantsRouter } from './routes/oauth-grants.ts';
import { runsRouter } from './routes/runs.ts';
import { webhooksRouter } from './routes/webhooks.ts';
import { workflowRunsRouter } from './routes/workflow-runs.ts';
import { workflowsRouter } from './routes/workflows.ts';

/** The paths of OrchStack for who is let in. A batch asks the app itself. */
export function mountOrchstack(app: ReturnType<typeof createRouter>): void {
  app.route('/v1/agents', agentsRouter);
  app.route('/v1/agents', agentRunsRouter);
  app.route('/v1/runs', runsRouter);
  app.route('/v1/runs', gatesRouter);
  app.route('/v1/workflows', workflowsRouter);
  app.route('/v1/workflows', workflowRunsRouter);
  app.route('/v1/webhooks', webhooksRouter);
  app.route(
    '/v1/batch',
    createBatchRouter((request, env) => app.fetch(request, env)),
  );
  app.route('/v1/api-keys', apiKeysRouter);
  app.route('/v1/oauth/clients', oauthClientsRouter);
  app.route('/v1/oauth/grants', oauthGrantsRouter);
  app.route('/v1/knowledge', knowledgeRouter);
  app.route('/v1/knowledge', documentsRouter);
}
