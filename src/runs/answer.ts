import type { Db } from '../../db/index.ts';
import { completeTask, findGateAnsweredBy } from '../../db/gates.ts';
import type { LiveSender } from '../../db/live.ts';
import type { Gate } from '../../db/schema.ts';
import { listTexts } from '../../db/texts.ts';
import type { GivenOutput } from '../../workflows/contract/gate-rules.ts';
import type { Decision } from '../../workflows/contract/states.ts';
import { doingOf, type Principal, type Remark } from '../accounts/principal.ts';
import { attachmentsAt, takeFiles } from '../files/attach.ts';
import type { FileDeps } from '../files/keep.ts';
import { DomainError, InvalidInputError, notFound, type ProblemMembers } from '../errors.ts';
import { newId, type IdSeed } from '../ids.ts';
import { checkEdit } from './agent-edits.ts';
import type { Outbox } from '../temporal/outbox.ts';

/** `gate_id` is the question that it answers; without one it is meant for the one that is open now. */
export type TaskAnswer = {
  run_id: string;
  task_id: string;
  gate_id?: string;
  /** `approve` unless given. */
  decision?: Decision;
  output: GivenOutput;
  /** Files that come with it. */
  attachments?: string[];
} & Remark;

/**
 * Answers the gate at which a task waits; once, whoever else answers it too, and returns it as it stands. The retry of a
 * request whose answer stands is taken for it. Throws `NOT_FOUND`, also for what a person with a key of their own may not answer,
 * `TASK_NOT_WAITING` with the answer that stands, and
 * `InvalidInputError` at `decision`, `attachments`, `output`, or `output` and the field of the form.
 */
export async function answerTask(
  { db, outbox, live, files, log }: FileDeps & { outbox: Outbox; live: LiveSender },
  principal: Principal,
  { note, on_behalf_of, attachments = [], ...answer }: TaskAnswer,
  idempotency: IdSeed | undefined,
): Promise<Gate> {
  const request_id = newId('request', idempotency);
  // The task may wait at its next gate by now, which this answer is not for.
  const before = idempotency?.isRetry ? await findGateAnsweredBy(db, answer.run_id, request_id) : undefined;
  if (before) return before;
  const doing = doingOf(principal, { note, on_behalf_of });
  const { account_id, person_id } = principal;
  const given = { ...answer, ...doing, account_id, person_id, request_id };
  // Here and not before: what an agent's output must be is nobody's to know who may not answer.
  const completion = await completeTask(db, given, async (inForm) => {
    if (answer.decision === 'edit') await checkEdit(db, account_id, answer);
    const wanted = [
      ...attachmentsAt(attachments),
      ...inForm.map(({ field, file_id }) => ({ path: ['output', field], file_id })),
    ];
    return takeFiles({ db, files, log }, principal, wanted);
  });
  switch (completion.result) {
    case 'accepted':
      outbox.send(completion.entry);
      live.changed(answer.run_id);
      return completion.gate;
    case 'unknown':
      throw notFound('Task');
    case 'unfit':
      throw new InvalidInputError(
        completion.faults.map(({ field, member, detail }) => ({
          path: member ? [field, member] : [field],
          detail,
        })),
      );
    case 'not_waiting': {
      const { task_status, gate } = completion;
      if (gate?.answered_by === request_id) return gate;
      throw await notWaiting(db, task_status, gate);
    }
  }
}

/** Why there is nothing to answer, with the answer that stands when there is one. */
async function notWaiting(db: Db, task_status: string, gate: Gate | undefined): Promise<DomainError> {
  const refuse = (message: string, members: ProblemMembers = {}) =>
    new DomainError('TASK_NOT_WAITING', message, { members: { task_status, ...members } });
  switch (gate?.status) {
    case 'open':
      return refuse(`The task waits for ${gate.gate_id} by now.`, { gate_id: gate.gate_id });
    case 'expired':
      return refuse(`Nobody answered by ${gate.due_at}, and \`on_timeout\` has decided.`);
    case 'answered': {
      const { gate_id, decision, answer_id, answered_at } = gate;
      const output = answer_id ? ((await listTexts(db, [answer_id])).get(answer_id) ?? null) : null;
      return refuse('The task was answered already.', { answer: { gate_id, decision, output, answered_at } });
    }
    default:
      return refuse(`The task is ${task_status} and waits for nobody.`);
  }
}
