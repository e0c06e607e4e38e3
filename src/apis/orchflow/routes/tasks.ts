import { z } from 'zod';
import { findTaskViews, type TaskView } from '../../../../db/run-views.ts';
import { completeTask, findGateAnsweredBy } from '../../../../db/gates.ts';
import type { Gate } from '../../../../db/schema.ts';
import { listTexts } from '../../../../db/texts.ts';
import type { Db } from '../../../../db/index.ts';
import { ApiError, invalid, notFound } from '../../../http/problems.ts';
import { newId } from '../../../ids.ts';
import { body, createRouter, json, route, sendJson } from '../../../http/openapi.ts';
import { runLinks } from '../links.ts';
import { completeTaskSchema, taskCompletedSchema, taskListSchema } from '../schemas/task.ts';
import { id, taskId } from '../../../http/text.ts';

export const tasksRouter = createRouter();

const list = route({
  method: 'get',
  path: '/{run_id}/tasks',
  operationId: 'listTasks',
  tags: ['Tasks'],
  summary: 'All tasks of a run, also while it runs',
  request: { params: z.object({ run_id: id }) },
  responses: { 200: json(taskListSchema, 'The tasks in the order of the plan') },
  links: runLinks(),
  problems: [404],
});

tasksRouter.openapi(list, async (c) => {
  const { run_id } = c.req.valid('param');
  const tasks = await findTaskViews(c.var.deps.db, c.var.accountId, run_id);
  if (!tasks) throw notFound('Run');
  return sendJson<{ run_id: string; tasks: TaskView[] }>(c, `{"run_id":${JSON.stringify(run_id)},"tasks":${tasks}}`);
});

const complete = route({
  method: 'post',
  path: '/{run_id}/tasks/{task_id}/complete',
  operationId: 'completeTask',
  tags: ['Tasks'],
  summary: 'Answer a task that waits for a person; the run goes on by itself',
  request: { params: z.object({ run_id: id, task_id: taskId }), body: body(completeTaskSchema) },
  responses: { 200: json(taskCompletedSchema, 'The answer was taken') },
  links: runLinks(),
  problems: [404, 409],
});

tasksRouter.openapi(complete, async (c) => {
  const { run_id, task_id } = c.req.valid('param');
  const { output, decision, gate_id } = c.req.valid('json');
  const { db, outbox, live } = c.var.deps;
  const request_id = newId('request', c.var.idempotency);
  const gateBefore = c.var.idempotency?.isRetry ? await findGateAnsweredBy(db, run_id, request_id) : undefined;
  if (gateBefore) return c.json(answered(gateBefore), 200);
  const completion = await completeTask(db, {
    account_id: c.var.accountId,
    run_id,
    task_id,
    gate_id: gate_id ?? undefined,
    decision,
    output: output ?? null,
    request_id,
  });
  switch (completion.result) {
    case 'unknown':
      throw notFound('Task');
    case 'unfit':
      throw invalid(
        completion.faults.map(({ field, detail }) => ({
          pointer: '/output',
          detail: field ? `"${field}" ${detail}` : detail,
        })),
      );
    case 'fault':
      throw invalid([{ pointer: `/${completion.field}`, detail: completion.detail }]);
    case 'not_waiting': {
      const { task_status, gate } = completion;
      if (gate?.answered_by !== request_id) throw await notWaiting(db, task_status, gate);
      return c.json(answered(gate), 200);
    }
    case 'accepted':
      outbox.send(completion.entry);
      live.changed(completion.gate.run_id);
      return c.json(answered(completion.gate), 200);
  }
});

function answered({ run_id, task_id, gate_id, decision }: Gate) {
  return { run_id, task_id, gate_id, decision: decision!, message: `Task ${task_id} answered. The run goes on.` };
}

async function findAnswer(db: Db, { answer_id }: Gate): Promise<string | null> {
  return answer_id ? ((await listTexts(db, [answer_id])).get(answer_id) ?? null) : null;
}

/** The conflict, with the answer that stands when there is one. */
async function notWaiting(db: Db, status: string, gate: Gate | undefined): Promise<ApiError> {
  if (gate?.status === 'open') {
    return new ApiError('TASK_NOT_WAITING', `The task waits for ${gate.gate_id} by now.`, {
      task_status: status,
      gate_id: gate.gate_id,
    });
  }
  if (gate?.status === 'expired') {
    return new ApiError('TASK_NOT_WAITING', `Nobody answered by ${gate.due_at}, and \`on_timeout\` has decided.`, {
      task_status: status,
    });
  }
  if (gate?.status !== 'answered') {
    return new ApiError('TASK_NOT_WAITING', `The task is ${status} and waits for nobody.`, { task_status: status });
  }
  const { gate_id, decision, answered_at } = gate;
  const answer = { gate_id, decision, output: await findAnswer(db, gate), answered_at };
  return new ApiError('TASK_NOT_WAITING', 'The task was answered already.', { task_status: status, answer });
}
