import { z } from 'zod';
import type { Context } from 'hono';
import { id, taskId } from '../../../fields.ts';
import type { AppEnv } from '../../../http/env.ts';
import { body, createRouter, json, optionalBody, route } from '../../../http/openapi.ts';
import { changeRun } from '../../../runs/change.ts';
import { findGoingOn, type GoingOn } from '../../../runs/going-on.ts';
import { holdRun, releaseRun } from '../../../runs/hold.ts';
import { retryRun } from '../../../runs/retry.ts';
import { steerTask, type SteerRequest } from '../../../runs/steer.ts';
import { runLinks } from '../links.ts';
import {
  changeRunSchema,
  correctTaskSchema,
  remarkSchema,
  retryRunSchema,
  retryTaskSchema,
  runChangedSchema,
  runHeldSchema,
  runRetriedSchema,
  skipTaskSchema,
  taskSteeredSchema,
} from '../schemas/steering.ts';

export const steeringRouter = createRouter();

const hold = route({
  method: 'post',
  path: '/{run_id}/hold',
  operationId: 'holdRun',
  scope: 'runs:write',
  tags: ['Steering'],
  summary: 'Hold a run: nothing new is begun until it is released',
  description:
    'Calls of models and tools that are in flight end, and are kept. People may still answer, and gates are due when they ' +
    'are due. Holding it twice is the same as once.',
  request: { params: z.object({ run_id: id }), body: optionalBody(remarkSchema) },
  responses: { 200: json(runHeldSchema, 'It is held') },
  links: runLinks(),
  problems: [404, 409],
});

steeringRouter.openapi(hold, async (c) => {
  const { run_id } = c.req.valid('param');
  const held_at = await holdRun(c.var.deps, c.var.principal, run_id, c.req.valid('json'));
  return c.json({ run_id, held_at, message: 'Nothing new is begun until the run is released.' }, 200);
});

const release = route({
  method: 'post',
  path: '/{run_id}/release',
  operationId: 'releaseRun',
  scope: 'runs:write',
  tags: ['Steering'],
  summary: 'Let a run go on that is held',
  description:
    'What it would have begun meanwhile begins now. One that is not held goes on as it does; one that has failed, when it is ' +
    'retried; one that has not begun, when what `pending_for` names has come.',
  request: { params: z.object({ run_id: id }), body: optionalBody(remarkSchema) },
  responses: { 200: json(runHeldSchema, 'It goes on') },
  links: runLinks(),
  problems: [404, 409],
});

steeringRouter.openapi(release, async (c) => {
  const { run_id } = c.req.valid('param');
  const { deps, principal } = c.var;
  const { goesOn } = await releaseRun(deps, principal, run_id, c.req.valid('json'));
  const failed: GoingOn = { how: 'The run has failed, and goes on when it is retried.' };
  const { how, ...begins } = goesOn ? await findGoingOn(deps, run_id) : failed;
  return c.json({ run_id, held_at: null, ...begins, message: how }, 200);
});

const retryFailed = route({
  method: 'post',
  path: '/{run_id}/retry',
  operationId: 'retryRun',
  scope: 'runs:write',
  tags: ['Steering'],
  summary: 'Go on with a run that has failed, where it stopped',
  description:
    'What is completed stands, and what was paid for is not paid again; the rest is done as planned. Gates that were open, ' +
    'or nobody answered in time, are asked anew, with all of their time. A run that failed for its budget fails again unless ' +
    'its limits are raised. Also of a run of an orchestration.',
  request: { params: z.object({ run_id: id }), body: optionalBody(retryRunSchema) },
  responses: { 200: json(runRetriedSchema, 'It is accepted, and the run goes on in the background') },
  links: runLinks(),
  problems: [402, 404, 409],
});

steeringRouter.openapi(retryFailed, async (c) => {
  const { run_id } = c.req.valid('param');
  const { deps, principal, idempotency } = c.var;
  const { note, on_behalf_of, ...change } = c.req.valid('json');
  const request = { run_id, change, note, on_behalf_of };
  const { attempt, warnings } = await retryRun(deps, principal, request, idempotency);
  const { how, ...begins } = await findGoingOn(deps, run_id);
  return c.json({ run_id, status: 'pending' as const, attempt, ...begins, warnings, message: how }, 200);
});

const change = route({
  method: 'patch',
  path: '/{run_id}',
  operationId: 'changeRun',
  scope: 'runs:write',
  tags: ['Steering'],
  summary: 'Change labels, limits, terms and the webhook of a run, and when it begins',
  description:
    '`metadata` and `tags` are replaced whole, also of a run that has ended. The limits hold from the next model call on; a ' +
    'question about the budget that is open stays open. The terms hold for gates that open from then on and for those that are ' +
    'open, whose time counts from their opening; gates with terms of their own keep those. ' +
    '`start_at` and `start_in` can be changed until the run has begun.',
  request: { params: z.object({ run_id: id }), body: optionalBody(changeRunSchema) },
  responses: { 200: json(runChangedSchema, 'It is changed') },
  links: runLinks(),
  problems: [404, 409],
});

steeringRouter.openapi(change, async (c) => {
  const { run_id } = c.req.valid('param');
  const { note, on_behalf_of, ...changes } = c.req.valid('json');
  const changed = await changeRun(c.var.deps, c.var.principal, run_id, changes, { note, on_behalf_of });
  const message =
    Object.keys(changes).length > 0 ? 'Run changed.' : 'Nothing to change was given: the run is as it was.';
  return c.json({ run_id, ...changed, message }, 200);
});

const params = z.object({ run_id: id, task_id: taskId });
const steered = { 200: json(taskSteeredSchema, 'It is accepted, and the run does it at once') };

const retry = route({
  method: 'post',
  path: '/{run_id}/tasks/{task_id}/retry',
  operationId: 'retryTask',
  scope: 'runs:write',
  tags: ['Steering'],
  summary: 'Do a task again, with all that builds on it',
  description:
    'What stands beside it stays. A call that is in flight for one of them is aborted; a person is asked again.',
  request: { params, body: optionalBody(retryTaskSchema) },
  responses: steered,
  links: runLinks(),
  problems: [404, 409],
});

steeringRouter.openapi(retry, async (c) => {
  const { feedback: text, ...remark } = c.req.valid('json');
  return c.json(await steer(c, 'retry', { ...c.req.valid('param'), text, ...remark }), 200);
});

const correct = route({
  method: 'post',
  path: '/{run_id}/tasks/{task_id}/correct',
  operationId: 'correctTask',
  scope: 'runs:write',
  tags: ['Steering'],
  summary: 'Replace the output of a completed task, or the answer of a person; what was built on it is done again',
  description: 'The output before stays in the audit.',
  request: { params, body: body(correctTaskSchema) },
  responses: steered,
  links: runLinks(),
  problems: [404, 409],
});

steeringRouter.openapi(correct, async (c) => {
  const { output: text, ...remark } = c.req.valid('json');
  return c.json(await steer(c, 'correct', { ...c.req.valid('param'), text, ...remark }), 200);
});

const skip = route({
  method: 'post',
  path: '/{run_id}/tasks/{task_id}/skip',
  operationId: 'skipTask',
  scope: 'runs:write',
  tags: ['Steering'],
  summary: 'Go on without a task, or with this output in its place',
  description: 'With an output it is `completed`, without one `skipped`. A call that is in flight for it is aborted.',
  request: { params, body: optionalBody(skipTaskSchema) },
  responses: steered,
  links: runLinks(),
  problems: [404, 409],
});

steeringRouter.openapi(skip, async (c) => {
  const { output: text, ...remark } = c.req.valid('json');
  return c.json(await steer(c, 'skip', { ...c.req.valid('param'), text, ...remark }), 200);
});

const cancel = route({
  method: 'post',
  path: '/{run_id}/tasks/{task_id}/cancel',
  operationId: 'cancelTask',
  scope: 'runs:write',
  tags: ['Steering'],
  summary: 'End a task, and all that builds on it; the final output is made of the others',
  description: 'Calls in flight for them are aborted. Where nothing would be left, cancel the run.',
  request: { params, body: optionalBody(remarkSchema) },
  responses: steered,
  links: runLinks(),
  problems: [404, 409],
});

steeringRouter.openapi(cancel, async (c) =>
  c.json(await steer(c, 'cancel', { ...c.req.valid('param'), ...c.req.valid('json') }), 200),
);

const messages = {
  retry: (id: string) => `Task ${id} is done again.`,
  correct: (id: string) => `The output of task ${id} is replaced.`,
  skip: (id: string, output?: string) =>
    output === undefined ? `The run goes on without task ${id}.` : `Task ${id} is completed with this output.`,
  cancel: (id: string) => `Task ${id} is cancelled, with all that builds on it.`,
};

async function steer(
  c: Context<AppEnv>,
  action: SteerRequest['action'],
  request: Omit<SteerRequest, 'action'>,
): Promise<z.infer<typeof taskSteeredSchema>> {
  const { deps, principal, idempotency } = c.var;
  const { redone, cancelled } = await steerTask(deps, principal, { action, ...request }, idempotency);
  const { run_id, task_id } = request;
  return { run_id, task_id, redone, cancelled, message: messages[action](task_id, request.text) };
}
