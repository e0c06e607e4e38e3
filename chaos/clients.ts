import { setTimeout as sleep } from 'node:timers/promises';
import type { RunView, TaskView } from '../db/run-views.ts';
import { serverTiming } from '../test/harness/server-timing.ts';
import type { Account } from './accounts.ts';
import type { Entry, Journal, Operation } from './journal.ts';
import { definition } from './orchestration.ts';
import type { Random } from './random.ts';
import { answerTo, createShapes, requestOf, rerunOf, type Answer } from './shapes.ts';

/** Longer than the API may take, by more than a busy machine is late: so that a hang is seen as one. */
const patience = 8_000;
/** Of one orchestration that fails. */
const maxRetries = 3;

export type Api = { name: string; url: string };

/** `web` is where people send agents. */
type Given = { apis: Api[]; journal: Journal; random: Random; web: string };

/** How clients ask: each time the next API, and each time with an entry in the journal. */
function createRequests({ apis, journal, random }: Omit<Given, 'web'>, signal: AbortSignal) {
  let turn = 0;

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
      entry.app_ms = serverTiming(response.headers).app;
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
  async function insist(...request: Parameters<typeof attempt>): Promise<Entry> {
    for (;;) {
      const entry = await attempt(...request);
      const inFlight = entry.body?.code === 'IDEMPOTENCY_KEY_IN_FLIGHT';
      if ((entry.outcome !== 'unknown' && !inFlight) || signal.aborted) return entry;
      await sleep(random.between(200, 1_000));
    }
  }

  /** Reads a page of a list, if need be again: a busy machine may answer 503 when all is there. */
  async function look(account: Account, path: string): Promise<Entry> {
    for (let tries = 1; ; tries += 1) {
      const entry = await attempt(account, { op: 'list' }, { method: 'GET', path });
      if (entry.outcome !== 'unknown' || tries === 20) return entry;
      await sleep(500);
    }
  }

  return { attempt, insist, look };
}

type Requests = ReturnType<typeof createRequests>;

/**
 * Clients of both APIs that try again as careful ones do: after a 5xx or no answer, at the other API, a start with the
 * same Idempotency-Key and an answer with its gate's id.
 */
export function createClients({ apis, journal, random, web }: Given) {
  const nextShape = createShapes(random);
  const stopping = new AbortController();
  const { attempt, insist, look } = createRequests({ apis, journal, random }, stopping.signal);
  const { answer, hurry } = createPeople({ insist, random, web });

  /** Starts one run and brings it to its end, as the person behind it. */
  async function drive(account: Account, run: string): Promise<void> {
    const shape = nextShape();
    const key = shape === 'keyless' ? undefined : `start-${run}`;
    const isOrchestration = shape === 'orchestrated';
    const wait = isOrchestration ? random.pick([0, 2]) : undefined;
    const { task, provider_id, webhook_url, ...more } = requestOf(shape, run, account, random);
    const request = isOrchestration
      ? { path: `/orchestrations/${definition.id}/run?wait=${wait}`, body: { message: task, provider_id, webhook_url } }
      : { path: '/runs', body: { task, provider_id, webhook_url, ...more } };
    const operation = { op: 'start' as const, run, key, wait };
    const started = await (key ? insist : attempt)(account, operation, { method: 'POST', key, ...request });
    if (started.outcome !== 'ok') return;
    const { run_id } = started.body;
    const regrets = shape === 'cancelled' || (isOrchestration && random.chance(0.15));
    const regret = regrets && sleep(random.between(0, 8_000)).then(() => cancel(account, run_id, isOrchestration));
    const [ended] = await Promise.all([attend(account, run_id), regret]);
    if (shape === 'rerun' && ended) await rerun(account, run, ended);
  }

  function cancel(account: Account, run_id: string, isOrchestration: boolean): Promise<Entry> {
    const request = isOrchestration
      ? { method: 'POST', path: `/orchestrations/runs/${run_id}/cancel` }
      : { method: 'DELETE', path: `/runs/${run_id}` };
    return insist(account, { op: 'cancel', run_id }, request);
  }

  /** Has a part of an ended run done again, by a run of its own. */
  async function rerun(account: Account, run: string, source: RunView): Promise<void> {
    const key = `rerun-${run}`;
    const body = rerunOf(source, `edited-${source.run_id}`, random);
    if (!body) return;
    const operation = { op: 'start' as const, run: `${run}-again`, key, rerun: { source, ...body } };
    const path = `/runs/${source.run_id}/rerun`;
    const started = await insist(account, operation, { method: 'POST', path, body, key });
    if (started.outcome === 'ok') await attend(account, started.body.run_id);
  }

  /** Looks at the run and answers what waits, until it has ended; a failed orchestration is tried again. */
  async function attend(account: Account, run_id: string): Promise<RunView | undefined> {
    const rejected = new Map<string, number>();
    let retries = 0;
    while (!stopping.signal.aborted) {
      const request = { method: 'GET', path: `/runs/${run_id}` };
      const { outcome, body } = await attempt(account, { op: 'get', run_id }, request);
      const view = outcome === 'ok' ? (body as RunView) : undefined;
      if (view?.status === 'failed' && view.orchestration_id && retries < maxRetries) {
        retries += 1;
        await retry(account, run_id, retries);
      } else if (view && ['completed', 'failed', 'cancelled'].includes(view.status)) return view;
      const waiting = view?.tasks.filter(({ id }) => view.waiting_tasks.includes(id)) ?? [];
      await Promise.all(waiting.map((task) => answer(account, run_id, task, rejected)));
      await sleep(random.between(200, 600));
    }
    return undefined;
  }

  function retry(account: Account, run_id: string, n: number): Promise<Entry> {
    const request = {
      method: 'POST',
      path: `/orchestrations/runs/${run_id}/retry?wait=0`,
      key: `retry-${run_id}-${n}`,
    };
    return insist(account, { op: 'retry', run_id, n }, request);
  }

  return {
    drive,
    walk: (account: Account) => walk(look, account),
    hurry,
    /** Nobody tries again, and nobody looks any more. */
    stop: () => stopping.abort(),
  };
}

/** Those who answer at gates. */
function createPeople({ insist, random, web }: { insist: Requests['insist']; random: Random; web: string }) {
  let hurried = false;

  /** Sometimes two people answer at once, at both APIs; one of them must be told that the other was first. */
  async function answer(
    account: Account,
    run_id: string,
    task: TaskView,
    rejected: Map<string, number>,
  ): Promise<void> {
    if (!hurried) await sleep(random.between(0, 4_000));
    const step = task.step_id ?? task.id;
    const mayReject = !hurried && (rejected.get(step) ?? 0) < 2;
    const people = random.chance(0.25) ? ['ann', 'bob'] : ['ann'];
    const { gate_id } = task.gate!;
    const send = (person: string) => {
      const text = `${person}-says-${gate_id}`;
      const said = answerTo(task, { mayReject, text, web }, random);
      if (said.decision === 'reject' || said.output?.includes('"again"'))
        rejected.set(step, (rejected.get(step) ?? 0) + 1);
      const key = random.chance(0.5) ? `${person}-${gate_id}` : undefined;
      const operation = { op: 'complete' as const, run_id, task_id: task.id, gate_id, ...said, key };
      return insist(account, operation, { method: 'POST', key, ...throughDoor(run_id, task, said) });
    };
    await Promise.all(people.map(send));
  }

  /** A step of an orchestration is answered as any task, or by resuming the run. */
  function throughDoor(run_id: string, task: TaskView, { decision, output }: Answer) {
    const { gate_id, kind } = task.gate!;
    if (task.step_id === null || random.chance(0.5)) {
      return { path: `/runs/${run_id}/tasks/${task.id}/complete`, body: { decision, output, gate_id } };
    }
    const response = kind === 'human_step' ? (JSON.parse(output!) as object) : { decision, output };
    return { path: `/orchestrations/runs/${run_id}/resume?wait=0`, body: { response, gate_id } };
  }

  return {
    answer,
    /** From now on people answer at once and send nothing back: what takes time is not theirs. */
    hurry: () => (hurried = true),
  };
}

/** The ids in the whole list, page by page; undefined when a page could not be had. */
async function walk(look: Requests['look'], account: Account): Promise<string[] | undefined> {
  const ids: string[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const path: string = `/runs?limit=7${cursor && `&cursor=${cursor}`}`;
    const { outcome, body } = await look(account, path);
    if (outcome !== 'ok') return undefined;
    ids.push(...body.runs.map(({ run_id }: { run_id: string }) => run_id));
    cursor = body.next_cursor;
  }
  return ids;
}
