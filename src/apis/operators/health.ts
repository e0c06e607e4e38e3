import { z } from 'zod';
import { findServerVersion } from '../../../db/index.ts';
import { createRouter, json, route } from '../../http/openapi.ts';

export const healthRouter = createRouter();

const part = z.object({ status: z.enum(['ok', 'down']), version: z.string().nullable() });
const healthSchema = z
  .object({
    status: z.enum(['ok', 'degraded', 'down']),
    version: z.string(),
    database: part,
    temporal: part,
  })
  .meta({
    id: 'Health',
    description:
      '`degraded`: Temporal does not answer; reads work, and starts, answers and cancels are accepted and kept.',
  });

const health = route({
  method: 'get',
  path: '/health',
  operationId: 'getHealth',
  tags: ['Health'],
  summary: 'Health of the API, its database and Temporal',
  description: 'For load balancers: 503 means that this process should get no requests.',
  isPublic: true,
  // Monitors put a number behind it that changes, so that no cache answers.
  request: { query: z.looseObject({}) },
  responses: { 200: json(healthSchema, 'The API serves'), 503: json(healthSchema, 'The database does not answer') },
});

function partOf(version: string | undefined) {
  return { status: version ? ('ok' as const) : ('down' as const), version: version ?? null };
}

healthRouter.openapi(health, async (c) => {
  const { db, engine, version } = c.var.deps;
  const [database, temporal] = (await Promise.all([findServerVersion(db), engine.findServerVersion()])).map(partOf) as [
    ReturnType<typeof partOf>,
    ReturnType<typeof partOf>,
  ];
  const status = database.status === 'down' ? 'down' : temporal.status === 'down' ? 'degraded' : 'ok';
  return c.json({ status, version, database, temporal }, status === 'down' ? 503 : 200);
});
