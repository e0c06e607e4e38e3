import type { Answer } from './client.ts';

type Call = (method: string, template: string, ids?: Record<string, string>, body?: object) => Promise<Answer>;

/** Calls every operation on tools, with each of its outcomes. */
export async function callTools(call: Call): Promise<void> {
  await call('GET', '/api/v1/tools');
}
