import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Answer, User } from '../test/harness/client.ts';
import type { Servers } from './servers.ts';

/** What accounts do, the honest ones and the others. All of it fails when it is refused, but streams. */

export type Step = { id: string; type: string; [field: string]: unknown };

/** Resolves with the id of the provider. */
export async function addProvider(user: User, base_url: string): Promise<string> {
  const provider = { provider: 'openai', api_key: 'sk-bench', base_url };
  return (await created(user.post('/providers', provider))).provider_id;
}

/** Resolves with the id of the orchestration. */
export async function define(user: User, steps: Step[], more: object = {}): Promise<string> {
  const named = steps.map((step) => ({ name: step.id, ...step }));
  return (
    await created(user.post('/orchestrations', { name: 'Bench', entry_step_id: steps[0]!.id, steps: named, ...more }))
  ).id;
}

/** Resolves with the id of the run. Asks again while the API has no time. */
export async function startOrchestration(user: User, id: string, message = 'Go.'): Promise<string> {
  for (;;) {
    const answer = await user.post(`/orchestrations/${id}/run?wait=0`, { message });
    if (answer.status !== 503) return (await created(Promise.resolve(answer))).run_id;
  }
}

/** What was made, or answered. */
export async function created(request: Promise<Answer>): Promise<any> {
  const { status, body } = await request;
  if (status >= 300) throw new Error(`${status}: ${JSON.stringify(body)}`);
  return body;
}

/** A step that asks a model so many times at once. */
export function manyCalls(count: number): Step[] {
  const calls = Array.from({ length: count }, (_, n) => ({ id: `ask${n}`, type: 'llm', timeout_seconds: 3_600 }));
  return [
    { id: 'all', type: 'parallel', timeout_seconds: 3_600, parallel_branches: calls.map(({ id }) => [id]) },
    ...calls,
  ];
}

/** Steps that compute for more than an hour: a script ends before it must, and begins again. */
export const endlessScript: Step[] = [
  { id: 'again', type: 'loop', loop_count: 100, loop_step_ids: ['compute'], timeout_seconds: 7_200 },
  {
    id: 'compute',
    type: 'transform',
    transform_code: 'const end = Date.now() + 50_000; while (Date.now() < end) {} return 0',
    timeout_seconds: 60,
  },
];

/** A model that never has done: it sends a space now and then, so that nobody takes it for silent. `calls` hang now. */
export async function startEndlessModel() {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'application/json' });
    model.calls += 1;
    const timer = setInterval(() => response.write(' '), 20_000);
    response.once('close', () => {
      model.calls -= 1;
      clearInterval(timer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const model = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    calls: 0,
    down() {
      server.closeAllConnections();
      server.close();
    },
  };
  return model;
}

/** Streams that one account opens, again and again where they are refused, by a process of its own. `open` is how many there are. */
export function knock({ streams, url, user }: { streams: number; url: string; user: User }) {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'knock.ts'), String(streams), url], {
    env: { API_KEY: user.api_key },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  process.once('exit', () => child.kill('SIGKILL'));
  const knocking = { open: 0, stop: () => void child.kill('SIGKILL') };
  createInterface({ input: child.stdout }).on('line', (line) => (knocking.open = Number(line)));
  return knocking;
}

/** Where the first version of an agent of the account is called. */
export async function pathOf({ db, user }: Pick<Servers, 'db' | 'user'>, agent: string): Promise<string> {
  const account = db.selectFrom('accounts').select('slug').where('email', '=', user.email);
  return `/${(await account.executeTakeFirstOrThrow()).slug}/${agent}/v1/run`;
}

/** Calls an agent, with JSON or a form, and reads its answer. */
export async function callAgent(
  url: string,
  { user }: Pick<Servers, 'user'>,
  path: string,
  body: string | FormData,
): Promise<void> {
  const type = typeof body === 'string' ? { 'content-type': 'application/json' } : undefined;
  const answer = await fetch(url + path, { method: 'POST', headers: { 'x-api-key': user.api_key, ...type }, body });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${answer.status}: ${text}`);
}
