import { assignByHand, type AssignedGate } from '../../db/assignments.ts';
import type { Db } from '../../db/index.ts';
import type { LiveSender } from '../../db/live.ts';
import { doingOf, type Principal, type Remark } from '../accounts/principal.ts';
import { DomainError, notFound } from '../errors.ts';
import { newId, type IdSeed } from '../ids.ts';
import type { Assigner } from './assigner.ts';

/** `person_id` null: back to all who have its skills. */
export type AssignRequest = Remark & { run_id: string; task_id: string; person_id: string | null };

/**
 * Gives the gate at which a task waits to a person, whatever their skills, or back, and returns whose it is. A person with a key of
 * their own hands on what they may answer, or takes it. Throws `NOT_FOUND` for the task and, with its place, for the person;
 * `TASK_NOT_WAITING`, `PERSON_NOT_FREE` for who is inactive or has as many open gates as they may have, and for them
 * `STEERED_TOO_OFTEN`.
 */
export async function assignTask(
  { db, live, assigner }: { db: Db; live: LiveSender; assigner: Assigner },
  principal: Principal,
  { run_id, task_id, person_id: to, ...remark }: AssignRequest,
  idempotency: IdSeed | undefined,
): Promise<AssignedGate> {
  const { account_id, person_id } = principal;
  const request_id = newId('request', idempotency);
  const handing = { account_id, person_id, run_id, task_id, to, request_id, ...doingOf(principal, remark) };
  const handed = await assignByHand(db, handing);
  switch (handed.result) {
    case 'unknown_task':
      throw notFound('Task');
    case 'unknown_person': {
      const faults = [{ path: ['person_id'], detail: 'is not a person of this account' }];
      throw new DomainError('NOT_FOUND', 'Person not found.', { faults });
    }
    case 'not_free':
      throw new DomainError('PERSON_NOT_FREE', 'They are inactive, or have as many open gates as they may have.');
    case 'too_often':
      throw new DomainError(
        'STEERED_TOO_OFTEN',
        'It has changed a hundred times whose this gate is: only keys of the account give it to somebody else now.',
      );
    case 'not_waiting': {
      const { task_status } = handed;
      const message = `The task is ${task_status} and waits for nobody.`;
      throw new DomainError('TASK_NOT_WAITING', message, { members: { task_status } });
    }
    case 'assigned': {
      live.changed(run_id);
      assigner.look(account_id);
      const { result: _, ...gate } = handed;
      return gate;
    }
  }
}
