import { z } from 'zod';
import { findTaskOfGate } from '../../../../db/run-results.ts';
import { DomainError, notFound } from '../../../errors.ts';
import { gateId, id } from '../../../fields.ts';
import { body, createRouter, json, route } from '../../../http/openapi.ts';
import { answerTask } from '../../../runs/answer.ts';
import { findGoingOn } from '../../../runs/going-on.ts';
import { runLinks } from '../links.ts';
import { answerGateSchema, gateAnsweredSchema } from '../schemas/gate.ts';

export const gatesRouter = createRouter();

const answer = route({
  method: 'post',
  path: '/{run_id}/gates/{gate_id}',
  operationId: 'orchstackAnswerGate',
  scope: 'gates:answer',
  forPeople: true,
  tags: ['OrchStack runs'],
  summary: 'Answer a gate at which a run waits for a person; the run goes on by itself',
  description:
    'The first answer counts, and another one after it is 409 with the `answer` that stands. Answers `agent.gate.pending`. A ' +
    "person's own key answers what is theirs; all else is not found.",
  request: { params: z.object({ run_id: id, gate_id: gateId }), body: body(answerGateSchema) },
  responses: { 200: json(gateAnsweredSchema, 'The answer was taken') },
  links: runLinks(),
  problems: [404, 409],
});

gatesRouter.openapi(answer, async (c) => {
  const { run_id, gate_id } = c.req.valid('param');
  const { deps, principal, idempotency } = c.var;
  const { output = null, ...given } = c.req.valid('json');
  const task_id = await findTaskOfGate(deps.db, principal.account_id, run_id, gate_id);
  if (task_id === undefined) throw notFound('Gate');
  const gate = await answerTask(deps, principal, { run_id, task_id, gate_id, output, ...given }, idempotency).catch(
    inWordsOfGates,
  );
  // Who has answered it may have a place again.
  if (gate.person_id !== null) deps.assigner.look(principal.account_id);
  const { how } = await findGoingOn(deps, run_id);
  return c.json({ run_id, gate_id, decision: gate.decision!, message: `Gate answered. ${how}` }, 200);
});

/** Who asks knows gates, and no tasks. */
function inWordsOfGates(error: unknown): never {
  if (error instanceof DomainError && error.code === 'NOT_FOUND' && error.faults.length === 0) throw notFound('Gate');
  throw error;
}
