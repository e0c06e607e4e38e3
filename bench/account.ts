import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer, User } from '../test/harness/client.ts';

/** What accounts do, the honest ones and the others. All of it fails when it is refused, but streams. */

export type Step = { id: string; type: string; [field: string]: unknown };

/** As the refusal of a stream says. */
const knockAgain_ms = 5_000;

type Knocking = { streams: number; url: string; user: User; signal: AbortSignal };

/** Resolves with the id of the provider. */
export async function addProvider(user: User, base_url: string): Promise<string> {
  const provider = { provider: 'openai', api_key: 'sk-bench', base_url };
  return (await created(user.post('/providers', provider))).provider_id;
}

/** Resolves with the id of the orchestration. */
export async function define(user: User, steps: Step[]): Promise<string> {
  const named = steps.map((step) => ({ name: step.id, ...step }));
  return (await created(user.post('/orchestrations', { name: 'Bench', entry_step_id: steps[0]!.id, steps: named }))).id;
}

/** Resolves with the id of the run. */
export async function startOrchestration(user: User, id: string, message = 'Go.'): Promise<string> {
  return (await created(user.post(`/orchestrations/${id}/run?wait=0`, { message }))).run_id;
}

/** What was made, or answered. */
export async function created(request: Promise<Answer>): Promise<any> {
  const { status, body } = await request;
  if (status >= 300) throw new Error(`${status}: ${JSON.stringify(body)}`);
  return body;
}

/** A step that asks a model so many times at once. */
export function manyCalls(count: number): Step[] {
  const calls = Array.from({ length: count }, (_, n) => ({ id: `ask${n}`, type: 'llm' }));
  return [{ id: 'all', type: 'parallel', parallel_branches: calls.map(({ id }) => [id]) }, ...calls];
}

/** Opens all streams at once, and each that is refused or ends again and again. `open` is how many there are now. */
export function knock({ streams, url, user, signal }: Knocking): { readonly open: number } {
  const state = { open: 0 };
  const keepKnocking = async () => {
    for (; !signal.aborted; await sleep(knockAgain_ms, undefined, { signal })) {
      const answer = await fetch(url, { headers: { 'x-api-key': user.api_key }, signal });
      if (!answer.ok) {
        await answer.arrayBuffer();
        continue;
      }
      state.open += 1;
      for await (const _ of answer.body!);
      state.open -= 1;
    }
  };
  for (let stream = 0; stream < streams; stream += 1) {
    void keepKnocking().catch((error: unknown) => signal.aborted || console.error(error));
  }
  return state;
}
