import { z } from 'zod';
import { findTaskViews, type TaskView } from '../../../../db/run-views.ts';
import { InvalidInputError, notFound, requireNone } from '../../../errors.ts';
import { id, taskId } from '../../../fields.ts';
import { body, createRouter, json, route } from '../../../http/openapi.ts';
import { sendJson } from '../../../http/send-json.ts';
import { assignTask } from '../../../people/assign.ts';
import { answerTask } from '../../../runs/answer.ts';
import { findGoingOn } from '../../../runs/going-on.ts';
import { sendBack } from '../../../runs/steer.ts';
import { runLinks } from '../links.ts';
import {
  assignTaskSchema,
  completeTaskSchema,
  taskAssignedSchema,
  taskCompletedSchema,
  taskListSchema,
} from '../schemas/task.ts';

export const tasksRouter = createRouter();

const list = route({
  method: 'get',
  path: '/{run_id}/tasks',
  operationId: 'listTasks',
  scope: 'runs:read',
  tags: ['Tasks'],
  summary: 'All tasks of a run, also while it runs',
  description: 'Each with its output, its evaluation and the newest gate at which it waited for a person.',
  request: { params: z.object({ run_id: id }) },
  responses: { 200: json(taskListSchema, 'The tasks in the order of the plan') },
  links: runLinks(),
  problems: [404],
});

tasksRouter.openapi(list, async (c) => {
  const { run_id } = c.req.valid('param');
  const tasks = await findTaskViews(c.var.deps.db, c.var.principal.account_id, run_id);
  if (!tasks) throw notFound('Run');
  return sendJson<{ run_id: string; tasks: TaskView[] }>(c, `{"run_id":${JSON.stringify(run_id)},"tasks":${tasks}}`);
});

const complete = route({
  method: 'post',
  path: '/{run_id}/tasks/{task_id}/complete',
  operationId: 'completeTask',
  scope: 'gates:answer',
  forPeople: true,
  tags: ['Tasks'],
  summary: 'Answer a task that waits for a person; the run goes on by itself',
  description:
    '`decision` is one of those that the gate takes; the first answer counts, and another one after it is 409 ' +
    "with the `answer` that stands. A person's own key answers what is theirs (`GET /inbox`); all else is not found.",
  request: { params: z.object({ run_id: id, task_id: taskId }), body: body(completeTaskSchema) },
  responses: { 200: json(taskCompletedSchema, 'The answer was taken') },
  links: runLinks(),
  problems: [404, 409],
});

tasksRouter.openapi(complete, async (c) => {
  const { run_id, task_id } = c.req.valid('param');
  const { output, decision, gate_id, send_back_to, attachments, ...remark } = c.req.valid('json');
  const answer = {
    run_id,
    task_id,
    gate_id: gate_id ?? undefined,
    decision: decision ?? undefined,
    output: output ?? null,
    ...remark,
  };
  const { deps, principal, idempotency } = c.var;
  if (send_back_to !== undefined) {
    requireRejection({ decision, output, attachments });
    const rejection = { ...answer, output: output!, send_back_to };
    const sentBack = await sendBack(deps, principal, rejection, idempotency);
    const message = `Task ${task_id} answered. Done again: ${sentBack.redone.join(', ')}.`;
    return c.json({ run_id, task_id, gate_id: sentBack.gate_id!, decision: 'reject' as const, message }, 200);
  }
  const gate = await answerTask(deps, principal, { ...answer, attachments }, idempotency).catch(quoteFields);
  // Who has answered it may have a place again.
  if (gate.person_id !== null) deps.assigner.look(principal.account_id);
  const isAside = gate.kind === 'approval' && gate.decision === 'approve' && gate.answer_id !== null;
  const { how } = await findGoingOn(deps, run_id);
  const message = `Task ${task_id} answered. ${how}${isAside ? aside : ''}`;
  return c.json({ run_id, task_id, gate_id: gate.gate_id, decision: gate.decision!, message }, 200);
});

/** Who sends something back says why. */
function requireRejection(given: { decision?: string; output?: string; attachments: string[] }): void {
  const { decision, output, attachments } = given;
  requireNone([
    ...(attachments.length === 0 ? [] : [{ path: ['attachments'], detail: 'are not taken with `send_back_to`' }]),
    ...(decision === 'reject' ? [] : [{ path: ['decision'], detail: 'must be "reject" with `send_back_to`' }]),
    ...(output?.trim() ? [] : [{ path: ['output'], detail: 'is the feedback, and must be given with `send_back_to`' }]),
  ]);
}

/** Who approves with a text may mean an edit. */
const aside = ' The draft stays the output, and the text is kept as the note of its gate; "edit" makes it the output.';

/** A field of a form is inside the text `output`, where no pointer leads. */
function quoteFields(error: unknown): never {
  if (!(error instanceof InvalidInputError)) throw error;
  throw new InvalidInputError(
    error.faults.map(({ path, path: [member, field], detail }) => ({
      path: member === 'output' ? [member] : path,
      detail: field === undefined || member !== 'output' ? detail : `"${String(field)}" ${detail}`,
    })),
  );
}

const assign = route({
  method: 'post',
  path: '/{run_id}/tasks/{task_id}/assign',
  operationId: 'assignTask',
  scope: 'gates:answer',
  forPeople: true,
  tags: ['People'],
  summary: 'Give what a task waits for to a person, or back',
  description:
    'Whatever their skills; `max_open` is kept. It is told as `gate.assigned` or `gate.unassigned`, with who has done it, and the ' +
    "person is told where their `notify_url` says. A person's own key hands on, takes or gives back what it may answer.",
  request: { params: z.object({ run_id: id, task_id: taskId }), body: body(assignTaskSchema) },
  responses: { 200: json(taskAssignedSchema, 'Whose it is now') },
  links: runLinks(),
  problems: [404, 409],
});

tasksRouter.openapi(assign, async (c) => {
  const { run_id, task_id } = c.req.valid('param');
  const { deps, principal, idempotency } = c.var;
  const asked = { run_id, task_id, ...c.req.valid('json') };
  const { gate_id, person_id, skills } = await assignTask(deps, principal, asked, idempotency);
  const released = skills.length > 0 ? 'is open to all who have its skills' : 'is for keys of the account to answer';
  const message = `Task ${task_id} ${person_id === null ? released : 'is assigned'}.`;
  return c.json({ run_id, task_id, gate_id, person_id, message }, 200);
});
