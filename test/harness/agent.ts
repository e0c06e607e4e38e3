import assert from 'node:assert/strict';
import type { TestRun, User } from './orchflow.ts';

/** Registers an agent, `legal` unless it says otherwise, and returns its id. */
export async function registerAgent(user: User, agent: object = {}): Promise<string> {
  const { status, body } = await user.insist('POST', '/agents', { name: 'legal', ...agent });
  assert.equal(status, 201, JSON.stringify(body));
  return body.agent_id;
}

/** Has an agent do one thing. */
export async function runAgent(user: User, agent_id: string, request: object = {}): Promise<TestRun> {
  const { status, body } = await user.insist('POST', `/agents/${agent_id}/runs`, { input: 'Read this.', ...request });
  assert.equal(status, 201, JSON.stringify(body));
  return user.openRun(body.run_id);
}
