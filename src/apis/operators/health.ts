import { z } from 'zod';
import { findServerVersion } from '../../../db/index.ts';
import { codeStatus } from '../../code/terms.ts';
import { createRouter, json, route } from '../../http/openapi.ts';

export const healthRouter = createRouter();

const part = z.object({ status: z.enum(['ok', 'down']), version: z.string().nullable() });
const healthSchema = z
  .object({
    status: z.enum(['ok', 'degraded', 'down']),
    version: z.string(),
    database: part,
    temporal: part,
    code: z.object({
      status: z.enum(['ok', 'off', 'unknown']),
      driver: z.string().nullable(),
      languages: z.array(z.string()),
      reason: z.string().nullable(),
    }),
  })
  .meta({
    id: 'Health',
    description:
      '`degraded`: Temporal does not answer; reads work, and starts, answers and cancels are accepted and kept. `code`: whether code of people is run here, and why not, as the workers say it; `unknown` when none has said anything for a minute.',
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

/** What workers say of themselves is in the database. */
const noWord = { status: 'unknown' as const, driver: null, languages: [], reason: 'The database does not answer.' };

healthRouter.openapi(health, async (c) => {
  const { db, engine, version } = c.var.deps;
  const [inDatabase, inTemporal] = await Promise.all([findServerVersion(db), engine.findServerVersion()]);
  const code = inDatabase ? await codeStatus(db).catch(() => noWord) : noWord;
  const [database, temporal] = [partOf(inDatabase), partOf(inTemporal)];
  const status = database.status === 'down' ? 'down' : temporal.status === 'down' ? 'degraded' : 'ok';
  return c.json({ status, version, database, temporal, code }, status === 'down' ? 503 : 200);
});
