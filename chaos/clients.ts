import { setTimeout as sleep } from 'node:timers/promises';
import type { RunView, TaskView } from '../db/run-views.ts';
import type { Decision } from '../workflows/messages.ts';
import { register } from '../test/client.ts';
import type { Entry, Journal, Operation } from './journal.ts';
import type { Outside } from './outside.ts';
import type { Random } from './random.ts';

/** Longer than the API may take, so that a hang is seen as one. */
const patience = 8_000;
const shapes = ['plain', 'context', 'gated', 'approvals', 'timed', 'budgeted', 'cancelled', 'keyless'] as const;
type Shape = (typeof shapes)[number];

export type Api = { name: string; url: string };
export type Account = {
  name: string;
  api_key: string;
  webhook_secret: string;
  providers: string[];
  webhook_url: string;
};

/** An account with two providers, while all is well. */
export async function openAccount(api: string, name: string, outside: Outside): Promise<Account> {
  const user = await register(api);
  const api_key = `sk-canary${name}0123456789`;
  const providers = [
    await user.addProvider(outside.model, 'openai', { api_key }),
    await user.addProvider(outside.model, 'anthropic', { api_key }),
  ];
  const webhook_url = outside.endpoint(name, user.webhook_secret);
  return { name, api_key: user.api_key, webhook_secret: user.webhook_secret, providers, webhook_url };
}

/**
 * Clients of both APIs that try again as careful ones do: after a 5xx or no answer, at the other API, a start with the
 * same Idempotency-Key and an answer with its gate's id.
 */
export function createClients({ apis, journal, random }: { apis: Api[]; journal: Journal; random: Random }) {
  let turn = 0;
  let stopped = false;

  async function attempt(
    account: Account,
    operation: Operation,
    request: { method: string; path: string; body?: object; key?: string },
  ): Promise<Entry> {
    const api = apis[turn++ % apis.length]!;
    const { method, path, body, key } = request;
    const entry: Entry = { ...operation, api: api.name, invoked: Date.now(), ended: 0, outcome: 'unknown' };
    try {
      const response = await fetch(`${api.url}/api/v1${path}`, {
        method,
        headers: {
          'x-api-key': account.api_key,
          ...(body && { 'content-type': 'application/json' }),
          ...(key && { 'idempotency-key': key }),
        },
        body: body && JSON.stringify(body),
        signal: AbortSignal.timeout(patience),
      });
      entry.status = response.status;
      entry.body = await response.json();
      entry.outcome = response.ok ? 'ok' : response.status >= 500 ? 'unknown' : 'fail';
    } catch (error) {
      entry.body = String((error as Error).cause ?? error);
    }
    entry.ended = Date.now();
    journal.write(entry);
    return entry;
  }

  /** Tries until the answer is definite, or the clients are stopped. */
  async function insist(...given: Parameters<typeof attempt>): Promise<Entry> {
    for (;;) {
      const entry = await attempt(...given);
      const inFlight = entry.body?.code === 'IDEMPOTENCY_KEY_IN_FLIGHT';
      if ((entry.outcome !== 'unknown' && !inFlight) || stopped) return entry;
      await sleep(random.between(200, 1_000));
    }
  }

  /** Starts one run and brings it to its end, as the person behind it. */
  async function drive(account: Account, run: string): Promise<void> {
    const shape = random.pick(shapes);
    const key = shape === 'keyless' ? undefined : `start-${run}`;
    const body = {
      task: `[run:${run}] Compare the market and write a report.`,
      provider_id: random.pick(account.providers),
      agents: [{ name: 'research' }, { name: 'writer' }],
      ...(random.chance(0.8) && { webhook_url: account.webhook_url }),
      ...shapeOf(shape, random),
    };
    const request = { method: 'POST', path: '/runs', body, key };
    const started = await (key ? insist : attempt)(account, { op: 'start', run, key }, request);
    if (started.outcome !== 'ok') return;
    const { run_id } = started.body;
    const regret = shape === 'cancelled' && sleep(random.between(0, 8_000)).then(() => cancel(account, run_id));
    await Promise.all([attend(account, run_id), regret]);
  }

  function cancel(account: Account, run_id: string): Promise<Entry> {
    return insist(account, { op: 'cancel', run_id }, { method: 'DELETE', path: `/runs/${run_id}` });
  }

  /** Looks at the run and answers what waits, until it has ended. */
  async function attend(account: Account, run_id: string): Promise<void> {
    const rejected = new Map<string, number>();
    while (!stopped) {
      const { outcome, body } = await attempt(
        account,
        { op: 'get', run_id },
        { method: 'GET', path: `/runs/${run_id}` },
      );
      const view = outcome === 'ok' ? (body as RunView) : undefined;
      if (view && ['completed', 'failed', 'cancelled'].includes(view.status)) return;
      const waiting = view?.tasks.filter(({ id }) => view.waiting_tasks.includes(id)) ?? [];
      await Promise.all(waiting.map((task) => answer(account, run_id, task, rejected)));
      await sleep(random.between(200, 600));
    }
  }

  /** Sometimes two people answer at once, at both APIs; one of them must be told that the other was first. */
  async function answer(
    account: Account,
    run_id: string,
    task: TaskView,
    rejected: Map<string, number>,
  ): Promise<void> {
    await sleep(random.between(0, 4_000));
    const mayReject = (rejected.get(task.id) ?? 0) < 2;
    const people = random.chance(0.25) ? ['ann', 'bob'] : ['ann'];
    const { gate_id } = task.gate!;
    const send = (person: string) => {
      const decision = choose(task, mayReject, random);
      if (decision === 'reject') rejected.set(task.id, (rejected.get(task.id) ?? 0) + 1);
      const isWork = task.gate!.kind !== 'budget' && decision !== 'retry';
      const needsText = isWork && (decision !== 'approve' || task.kind === 'human');
      const output = needsText ? `${person}-says-${gate_id}` : undefined;
      const key = random.chance(0.5) ? `${person}-${gate_id}` : undefined;
      const operation = { op: 'complete' as const, run_id, task_id: task.id, gate_id, decision, output, key };
      const path = `/runs/${run_id}/tasks/${task.id}/complete`;
      return insist(account, operation, { method: 'POST', path, body: { decision, output, gate_id }, key });
    };
    await Promise.all(people.map(send));
  }

  return {
    drive,
    /** The ids in the whole list, page by page; undefined when a page could not be had. */
    async walk(account: Account): Promise<string[] | undefined> {
      const ids: string[] = [];
      for (let cursor: string | null = ''; cursor !== null;) {
        const path: string = `/runs?limit=7${cursor && `&cursor=${cursor}`}`;
        const { outcome, body } = await attempt(account, { op: 'list' }, { method: 'GET', path });
        if (outcome !== 'ok') return undefined;
        ids.push(...body.runs.map(({ run_id }: { run_id: string }) => run_id));
        cursor = body.next_cursor;
      }
      return ids;
    },
    /** Nobody tries again, and nobody looks any more. */
    stop: () => (stopped = true),
  };
}

function shapeOf(shape: Shape, random: Random): object {
  if (shape === 'context') return { ask_me_about: ['the audience'], human_gates: ['sign-off'] };
  if (shape === 'gated') return { human_gates: ['sign-off', 'write the report'] };
  if (shape === 'approvals') return { require_approval: true };
  if (shape === 'timed') {
    const on_timeout = random.pick(['wait', 'approve', 'reject', 'cancel'] as const);
    return { ask_me_about: ['the audience'], gate_due_in: '3s', remind_every: '1s', on_timeout };
  }
  // Enough for the plan and one call of a task, of which the next asks for more.
  if (shape === 'budgeted') return { max_tokens: 9_500 };
  return {};
}

function choose(task: TaskView, mayReject: boolean, random: Random): Decision {
  const { kind } = task.gate!;
  if (kind === 'escalation')
    return task.output !== null && random.chance(0.3) ? 'approve' : random.pick(['retry', 'edit'] as const);
  if (kind === 'budget') return random.chance(0.9) ? 'approve' : 'reject';
  if (kind !== 'approval') return random.pick(['approve', 'edit'] as const);
  const roll = random.next();
  return roll < 0.6 ? 'approve' : roll < 0.8 || !mayReject ? 'edit' : 'reject';
}
