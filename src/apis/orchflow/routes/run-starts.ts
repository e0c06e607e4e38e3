import { z } from 'zod';
import type { Run } from '../../../../db/schema.ts';
import { findOwnRun } from '../../../../db/runs.ts';
import { InvalidInputError, notFound } from '../../../errors.ts';
import { id } from '../../../fields.ts';
import type { AppEnv } from '../../../http/env.ts';
import { faults } from '../../../http/faults.ts';
import { body, createRouter, json, route } from '../../../http/openapi.ts';
import { stateEdits } from '../../../orchestrations/initial-state-schema.ts';
import { rerunOrchestration } from '../../../orchestrations/rerun.ts';
import { rerunAgent } from '../../../runs/agent-rerun.ts';
import { startGoal } from '../../../runs/goals.ts';
import { rerunGoal } from '../../../runs/rerun.ts';
import { runLinks } from '../links.ts';
import { started } from '../started.ts';
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
    'the state as it was, with the values in `edits`. What is taken over is not done, asked or paid for again. Of one agent, T1 is ' +
    'done again, by the agent as it was frozen.',
  request: { params: z.object({ run_id: id }), body: body(rerunSchema) },
  responses: { 201: json(runStartedSchema, 'The new run is accepted and will not be lost') },
  links: runLinks(),
  problems: [402, 404, 409],
});

runStartsRouter.openapi(rerun, async (c) => {
  const { run_id } = c.req.valid('param');
  const request = c.req.valid('json');
  const source = await findOwnRun(c.var.deps.db, c.var.principal.account_id, run_id);
  if (!source) throw notFound('Run');
  return started(c, await rerunOf(c.var, source, request), request);
});

function rerunOf(
  { deps, principal, idempotency }: AppEnv['Variables'],
  source: Run,
  { edits, ...request }: z.infer<typeof rerunSchema>,
): Promise<string> {
  switch (source.kind) {
    case 'goal': {
      const goal = { ...request, edits: editsOf(outputEdits, edits) };
      return rerunGoal(deps, principal, source, goal, idempotency);
    }
    case 'orchestration': {
      const orchestration = { ...request, edits: editsOf(stateEdits, edits) };
      return rerunOrchestration(deps, principal, source, orchestration, idempotency);
    }
    case 'agent':
      return rerunAgent(deps, principal, source, { ...request, edits }, idempotency);
  }
}

/** What is edited, as the kind of the run takes it. */
function editsOf<T>(schema: z.ZodType<T>, given: Record<string, unknown>): T {
  const { data, error } = z.object({ edits: schema }).safeParse({ edits: given });
  if (error) throw new InvalidInputError(faults(error));
  return data.edits;
}
