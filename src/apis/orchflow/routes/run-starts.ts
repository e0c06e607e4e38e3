import { z } from 'zod';
import type { Context } from 'hono';
import { findDelay } from '../../../../db/holds.ts';
import { findOwnRun } from '../../../../db/runs.ts';
import { InvalidInputError, notFound } from '../../../errors.ts';
import { id } from '../../../fields.ts';
import type { AppEnv } from '../../../http/env.ts';
import { faults } from '../../../http/faults.ts';
import { body, createRouter, json, route } from '../../../http/openapi.ts';
import { stateEdits } from '../../../orchestrations/initial-state-schema.ts';
import { rerunOrchestration } from '../../../orchestrations/rerun.ts';
import { startGoal } from '../../../runs/goals.ts';
import { rerunGoal } from '../../../runs/rerun.ts';
import type { StartTimeRequest } from '../../../runs/start-time.ts';
import { runLinks } from '../links.ts';
import { outputEdits, rerunSchema } from '../schemas/rerun.ts';
import { createRunSchema, runStartedSchema } from '../schemas/run.ts';

export const runStartsRouter = createRouter();

const create = route({
  method: 'post',
  path: '/',
  operationId: 'createRun',
  scope: 'runs:write',
  tags: ['Runs'],
  summary: 'Start a run in the background',
  description:
    'It is kept before this is answered. With `ask_me_about`, its first task (T1) asks a person; read the run ' +
    'with `wait`, or follow its events, to learn when. With `start_at` or `start_in` it begins later, and costs nothing until ' +
    'then.',
  request: { body: body(createRunSchema) },
  responses: { 201: json(runStartedSchema, 'The run is accepted and will not be lost') },
  links: runLinks(),
  problems: [402, 404],
});

runStartsRouter.openapi(create, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const goal = c.req.valid('json');
  return started(c, await startGoal(deps, principal, goal, idempotency), goal);
});

const rerun = route({
  method: 'post',
  path: '/{run_id}/rerun',
  operationId: 'rerun',
  scope: 'runs:write',
  tags: ['Runs'],
  summary: 'Start a new run that does a task of this one again, and all after it; this one stays as it is',
  description:
    'Of a run of a goal, tasks before `from_task` are taken over as they are, with the texts in `edits` in place of their ' +
    'outputs. Of an orchestration, steps that are completed before it, or beside it in other branches, are; the step finds ' +
    'the state as it was, with the values in `edits`. What is taken over is not done, asked or paid for again.',
  request: { params: z.object({ run_id: id }), body: body(rerunSchema) },
  responses: { 201: json(runStartedSchema, 'The new run is accepted and will not be lost') },
  links: runLinks(),
  problems: [402, 404, 409],
});

runStartsRouter.openapi(rerun, async (c) => {
  const { deps, principal, idempotency } = c.var;
  const { run_id } = c.req.valid('param');
  const { edits, ...request } = c.req.valid('json');
  const source = await findOwnRun(deps.db, principal.account_id, run_id);
  if (!source) throw notFound('Run');
  const forked =
    source.kind === 'orchestration'
      ? rerunOrchestration(deps, principal, source, { ...request, edits: editsOf(stateEdits, edits) }, idempotency)
      : rerunGoal(deps, principal, source, { ...request, edits: editsOf(outputEdits, edits) }, idempotency);
  return started(c, await forked, request);
});

/** What is edited, as the kind of the run takes it. */
function editsOf<T>(schema: z.ZodType<T>, given: Record<string, unknown>): T {
  const { data, error } = z.object({ edits: schema }).safeParse({ edits: given });
  if (error) throw new InvalidInputError(faults(error));
  return data.edits;
}

const begins = {
  start_at: (at: string | null) => `Run accepted. It begins at ${at}.`,
  place: () => 'Run accepted. It begins when the account has a place for it.',
  release: () => 'Run accepted. It is held, and begins when it is released.',
};

/**
 * 201, with where the run is, and what it waits for before it begins. Where it waits for nothing, as places are not limited and
 * no time was `asked` for, the database is not asked.
 */
async function started(c: Context<AppEnv>, run_id: string, asked: StartTimeRequest) {
  c.header('Location', `/api/v1/runs/${run_id}`);
  const accepted = { run_id, status: 'pending' as const };
  const poll = `Poll GET /runs/${run_id} for status.`;
  const { db, quotas } = c.var.deps;
  const most = quotas.MAX_ACTIVE_RUNS_PER_ACCOUNT;
  const isLater = asked.start_at !== undefined || asked.start_in !== undefined;
  const delay = isLater || most !== undefined ? await findDelay(db, run_id, most) : undefined;
  const { pending_for = null, start_at = null } = delay ?? {};
  const begun = start_at ? 'Run started: its `start_at` is over.' : 'Run started.';
  const message = `${pending_for ? begins[pending_for](start_at) : begun} ${poll}`;
  return c.json({ ...accepted, message, ...(pending_for && { pending_for }), ...(start_at && { start_at }) }, 201);
}
