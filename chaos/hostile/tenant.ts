import { setTimeout as sleep } from 'node:timers/promises';
import { hasEnded, type RunStatus } from '../../workflows/contract/states.ts';
import type { Api } from '../requests.ts';
import type { Random } from '../random.ts';
import type { Door, Request } from './door.ts';
import type { Habit, HostileOutside } from './outside.ts';
import type { Spy } from './spy.ts';

type Given = {
  door: Door;
  random: Random;
  outside: HostileOutside;
  spy: Spy;
  apis: Api[];
  api_key: string;
  provider_id: string;
  /** Aborted when it is over. */
  signal: AbortSignal;
};
type Step = { id: string; type: string; [field: string]: unknown };

/** The hostile tenant in the middle of one attack. */
export type Hostile = ReturnType<ReturnType<typeof createTenant>>;

/** One of the things that it does. It ends soon after `signal` is aborted. */
export type Attack = (hostile: Hostile) => Promise<void>;

/** As long as an attack goes on with a run that it has started, and some more: in milliseconds. */
const longest_ms = 25_000;

/** What is due where one may be too many. */
export const orTooMany = (status: number) => [status, 429];

/** What is due where tools are named that may be gone by then. */
const orWithoutTools = [201, 422, 429];

const namesTools = (steps: Step[]) => steps.some((step) => 'forced_tool' in step);

/** Makes what an attack works with. What it asks is noted under its name. */
export function createTenant(given: Given) {
  let made = 0;
  /** Told from all others. */
  const nameFor = (what: string) => `x${what}-${(made += 1)}`;
  return (attack: string) => {
    const asking = askAs(attack, given);
    return { ...given, ...asking, ...startAs(asking, given, nameFor), nameFor };
  };
}

type Asking = ReturnType<typeof askAs>;

/** How it asks, waits and holds. */
function askAs(attack: string, { door, signal }: Given) {
  const ask = (request: Request) => door.ask(attack, request);
  /** Aborted after so long, or when it is over. */
  const leaveAfter = (ms: number) => AbortSignal.any([signal, AbortSignal.timeout(Math.round(ms))]);
  return {
    ask,
    get: (path: string, due: number[] = [200], more: Partial<Request> = {}) => ask({ path, due, ...more }),
    post: (path: string, body: unknown, due: number[], more: Partial<Request> = {}) =>
      ask({ method: 'POST', path, body, due, ...more }),
    /** Keeps the answer open for so long. */
    hold: (request: Request, ms: number) => door.hold(attack, { ...request, signal: leaveAfter(ms) }),
    leaveAfter,
    /** Waits, unless it is over. */
    pause: (ms: number) => sleep(ms, undefined, { signal }).catch(() => {}),
    /** So many at once. */
    atOnce: <T>(times: number, doIt: (index: number) => Promise<T>) =>
      Promise.all(Array.from({ length: times }, (_, index) => doIt(index))),
  };
}

/** How it starts runs of its own, and ends them. */
function startAs({ ask, post, pause }: Asking, { outside, provider_id }: Given, nameFor: (what: string) => string) {
  /** Starts a run of a goal, in which the model has this habit. `meanwhile` is done while it thinks. */
  async function startGoal(
    habit: Habit,
    more: object = {},
    meanwhile?: () => Promise<void>,
  ): Promise<string | undefined> {
    const makes = nameFor(habit);
    if (meanwhile) outside.meanwhile.set(makes, meanwhile);
    const body = { task: `[run:${makes}] Take what there is.`, provider_id, ...more };
    const { body: started } = await post('/runs', body, 'agents' in more ? orWithoutTools : orTooMany(201), { makes });
    return started?.run_id;
  }

  /** Deletes what may be there, in some tries. */
  async function remove(path: string): Promise<void> {
    for (let tries = 1; tries <= 5; tries += 1) {
      const { status = 503 } = await ask({ method: 'DELETE', path, due: [200, 404] });
      if (status < 500) return;
      await pause(1_000);
    }
  }

  /** Saves an orchestration of these steps, each followed by the next unless it says otherwise. */
  async function define(steps: Step[], id = nameFor('orchestration')): Promise<string | undefined> {
    const chained = steps.map((step, index) => ({
      name: step.id,
      next_step_id: steps[index + 1]?.id ?? null,
      ...step,
    }));
    const body = { id, name: 'Hostile', entry_step_id: steps[0]!.id, steps: chained };
    const due = namesTools(steps) ? orWithoutTools : orTooMany(201);
    const { status = 503 } = await post('/orchestrations', body, due, { makes: id });
    // It may be there, and would take its place for ever.
    if (status >= 500) await remove(`/orchestrations/${id}`);
    return status === 201 ? id : undefined;
  }

  /** Starts an orchestration of these steps so many times, and deletes it. Returns the ids of its runs. */
  async function startSteps(
    steps: Step[],
    times = 1,
    habit: Habit = 'plain',
    meanwhile?: () => Promise<void>,
  ): Promise<string[]> {
    const id = await define(steps);
    if (!id) return [];
    const due = [200, 202, ...(namesTools(steps) ? [422, 429] : [429])];
    const starts = Array.from({ length: times }, async () => {
      const makes = nameFor(habit);
      if (meanwhile) outside.meanwhile.set(makes, meanwhile);
      const body = { message: `[run:${makes}] Take what there is.`, provider_id };
      return (await post(`/orchestrations/${id}/run?wait=0`, body, due, { makes })).body?.run_id;
    });
    const run_ids: (string | undefined)[] = await Promise.all(starts);
    await remove(`/orchestrations/${id}`);
    return run_ids.filter((run_id) => run_id !== undefined);
  }

  const cancel = (run_id: string) =>
    ask({ method: 'DELETE', path: `/runs/${run_id}`, due: [200, 409], operation: { op: 'cancel', run_id } });

  /** Cancels what it began a while ago and has not ended, so that what it starts now has places. */
  async function makeRoom(): Promise<void> {
    const { body } = await ask({ path: '/runs?limit=100', due: [200] });
    const all: { run_id: string; status: RunStatus; created_at: string }[] = body?.runs ?? [];
    const old = all.filter(({ created_at }) => Date.parse(created_at) < Date.now() - longest_ms);
    for (const { run_id } of old.filter(({ status }) => !hasEnded(status))) await cancel(run_id);
  }

  return { startGoal, define, startSteps, remove, cancel, makeRoom };
}
