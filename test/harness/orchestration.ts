import assert from 'node:assert/strict';
import type { Answer, User } from './orchflow.ts';

/** Saves an orchestration of these steps, each followed by the next unless it says otherwise, and returns its id. */
export async function define(user: User, steps: { id: string; type: string; [field: string]: unknown }[], more = {}) {
  const chained = steps.map((step, index) => ({ name: step.id, next_step_id: steps[index + 1]?.id ?? null, ...step }));
  const definition = { name: 'Test', entry_step_id: steps[0]!.id, steps: chained, ...more };
  const created = await user.insist('POST', '/orchestrations', definition);
  assert.equal(created.status, 201, JSON.stringify(created.body));
  return created.body.id as string;
}

/** Saves and runs it. */
export function runSteps(
  user: User,
  steps: Parameters<typeof define>[1],
  more = {},
  message = 'Hello',
): Promise<Answer> {
  return startSteps(user, steps, { message }, more);
}

/** Saves it, and runs it as `request` says. */
export async function startSteps(
  user: User,
  steps: Parameters<typeof define>[1],
  request: object,
  more = {},
): Promise<Answer> {
  return user.post(`/orchestrations/${await define(user, steps, more)}/run`, { message: 'Hello', ...request });
}

export function resume(user: User, { body }: Answer, response: unknown, more = {}): Promise<Answer> {
  return user.post(`/orchestrations/runs/${body.run_id}/resume`, { response, ...more });
}

/** The events of a stream, as they came. */
export async function readStream(url: string, user: User, path: string, body: object): Promise<any[]> {
  const response = await fetch(`${url}/api/v1${path}`, {
    method: 'POST',
    headers: { 'x-api-key': user.api_key, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.equal(response.status, 200);
  const text = await response.text();
  return [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data!));
}
