import assert from 'node:assert/strict';
import { createUser, until, type User } from './client.ts';
import { patience } from './patience.ts';

/** People of an account, each with a client of their own key. */

export type TestPerson = User & { person_id: string };

/** Adds a person to the account of this user. */
export async function addPerson(user: User, url: string, person: object = {}): Promise<TestPerson> {
  const { status, body } = await user.insist('POST', '/people', { name: 'Anna', ...person });
  assert.equal(status, 201, JSON.stringify(body));
  return { ...createUser(url, body.api_key, '', ''), person_id: body.person_id };
}

/** The gate of a task as soon as it is this person's, or nobody's. */
export async function untilAssigned(user: User, run_id: string, task_id: string, person_id: string | null) {
  const read = async () => {
    const { body } = await user.insist('GET', `/runs/${run_id}`);
    return body.tasks?.find(({ id }: { id: string }) => id === task_id)?.gate;
  };
  let gate: any;
  const isSo = async () => {
    gate = await read();
    return gate?.status === 'open' && (gate.person?.person_id ?? null) === person_id;
  };
  await until(isSo, () => `${task_id} is assigned to ${person_id}, but: ${JSON.stringify(gate)}`, patience);
  return gate;
}
