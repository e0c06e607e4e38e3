import { z } from 'zod';
import { findAttemptsView, findAuditedRun, listAuditEvents, type AuditedRun } from '../../../../db/audit.ts';
import type { Db } from '../../../../db/index.ts';
import { notFound } from '../../../errors.ts';
import { id, taskId } from '../../../fields.ts';
import { keepOpen } from '../../../http/keep-open.ts';
import { createRouter, json, route } from '../../../http/openapi.ts';
import { sendJson, sendJsonParts } from '../../../http/send-json.ts';
import { runLinks } from '../links.ts';
import { attemptsSchema, auditSchema } from '../schemas/audit.ts';

export const auditRouter = createRouter();

const listAttempts = route({
  method: 'get',
  path: '/{run_id}/tasks/{task_id}/attempts',
  operationId: 'listAttempts',
  scope: 'runs:read',
  tags: ['Tasks'],
  summary: 'All attempts of a task, and all gates at which it waited',
  description:
    'Each attempt with its draft, its evaluation, its model calls and their tool calls; each gate with its answer, who gave ' +
    'it and why. All texts together are 8 MiB at most: where there is more, each is cut to an equal share, and says so.',
  request: { params: z.object({ run_id: id, task_id: taskId }) },
  responses: { 200: json(attemptsSchema, 'The attempts and the gates, the oldest first') },
  links: runLinks(),
  problems: [404],
});

auditRouter.openapi(listAttempts, async (c) => {
  const { run_id, task_id } = c.req.valid('param');
  const attempts = await findAttemptsView(c.var.deps.db, c.var.principal.account_id, run_id, task_id);
  if (!attempts) throw notFound('Task');
  return sendJson(c, attempts);
});

const audit = route({
  method: 'get',
  path: '/{run_id}/audit',
  operationId: 'auditRun',
  scope: 'runs:read',
  tags: ['Runs'],
  summary: 'The whole story of a run until now: every event in order, without a gap in `seq`, with all texts',
  description:
    'Who has done what (`data.by`), why (`data.note`), and what was said: `texts` has whole what an event refers to. ' +
    'The answer may be long, and is sent while it is read.',
  request: { params: z.object({ run_id: id }) },
  responses: { 200: json(auditSchema, 'The run and its events') },
  links: runLinks(),
  problems: [404],
});

auditRouter.openapi(audit, async (c) => {
  const { db } = c.var.deps;
  keepOpen(c);
  const run = await findAuditedRun(db, c.var.principal.account_id, c.req.valid('param').run_id);
  if (!run) throw notFound('Run');
  return sendJsonParts(c, partsOf(db, run));
});

/** So many events are held at a time, each with texts of 256 kB at most. */
const pageSize = 10;

async function* partsOf(db: Db, run: AuditedRun): AsyncGenerator<string> {
  yield `${JSON.stringify(run).slice(0, -1)},"events":[`;
  for (let seq = 0; seq < run.event_seq;) {
    const page = await listAuditEvents(db, run.run_id, { seq, last: run.event_seq, limit: pageSize });
    if (page.length === 0) throw new Error(`The events of ${run.run_id} after ${seq} are gone.`);
    yield (seq === 0 ? '' : ',') + page.map(({ event }) => event).join(',');
    seq = page.at(-1)!.seq;
  }
  yield ']}';
}
