import { z } from 'zod';
import { findSource, insertTakenTasks } from '../../../../db/reruns.ts';
import { notFound } from '../../../http/problems.ts';
import { newId } from '../../../ids.ts';
import { body, createRouter, json, route } from '../../../http/openapi.ts';
import { chooseModels } from '../../../agents/models.ts';
import { planRerun } from '../../../runs/rerun.ts';
import { runLinks } from '../links.ts';
import { rerunSchema, runStartedSchema } from '../schemas/run.ts';
import { id } from '../../../http/text.ts';
import { answerStarted, startRun } from '../../../runs/start.ts';

export const rerunsRouter = createRouter();

const rerun = route({
  method: 'post',
  path: '/{run_id}/rerun',
  operationId: 'rerun',
  tags: ['Runs'],
  summary: 'Start a new run that does a task of this one again, and all after it; this one stays as it is',
  request: { params: z.object({ run_id: id }), body: body(rerunSchema) },
  responses: { 201: json(runStartedSchema, 'The new run is accepted and will not be lost') },
  links: runLinks(),
  problems: [402, 404, 409],
});

rerunsRouter.openapi(rerun, async (c) => {
  const input = c.req.valid('json');
  const { db, config, managed, tools } = c.var.deps;
  const account_id = c.var.accountId;
  const source = await findSource(db, account_id, c.req.valid('param').run_id);
  if (!source) throw notFound('Run');
  const run_id = newId('run', c.var.idempotency);
  const plan = planRerun(run_id, source, input);

  const { run, tasks } = source;
  const provider_id = input.provider_id ?? run.provider_id;
  const agents = await chooseModels({ db, config, managed, tools }, account_id, provider_id, run.agents);
  await startRun(
    c.var.deps,
    {
      run_id,
      account_id,
      task: run.task,
      agents: JSON.stringify(agents),
      human_gates: JSON.stringify(run.human_gates),
      ask_me_about: JSON.stringify(run.ask_me_about),
      require_approval: run.require_approval,
      webhook_url: run.webhook_url,
      gate_due_in: run.gate_due_in,
      remind_every: run.remind_every,
      on_timeout: run.on_timeout,
      escalation_webhook_url: run.escalation_webhook_url,
      provider_id,
      fallback_provider_ids: JSON.stringify(run.fallback_provider_ids),
      max_cost_usd: run.max_cost_usd,
      max_tokens: run.max_tokens,
      on_budget: run.on_budget,
      forked_from: run.run_id,
      plan: JSON.stringify(plan),
    },
    c.var.idempotency,
    (trx) => insertTakenTasks(trx, run_id, tasks, { plan, edits: input.edits }),
  );
  return answerStarted(c, run_id);
});
