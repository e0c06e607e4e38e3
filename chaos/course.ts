import { setTimeout as sleep } from 'node:timers/promises';
import type { RunView, TaskView } from '../db/run-views.ts';
import { ancestors } from '../workflows/contract/graph.ts';
import type { Account } from './accounts.ts';
import type { Firsts } from './firsts.ts';
import type { Change, Entry, SteeringAction } from './journal.ts';
import type { Random } from './random.ts';
import type { Requests } from './requests.ts';
import type { Shape } from './shapes.ts';
import { isPlanned } from './steerings.ts';

/** Those who change the course of a run while it lives. */

/** What one run is changed by, at most. */
const mostDeeds = 4;
/** How long a run is held, in milliseconds: longer than what is in flight takes. */
const held = { least: 7_000, most: 10_000 };

export type Course = ReturnType<ReturnType<typeof createCourses>>;

type Given = Pick<Requests, 'insist'> & { random: Random; firsts: Firsts; isHurried: () => boolean };
/** A run whose course is changed. `next` numbers what is asked of it. */
type Steered = Given & { account: Account; run_id: string; shape: Shape; next: () => number };

export function createCourses(given: Given) {
  return (account: Account, run_id: string, shape: Shape) => {
    let n = 0;
    const steered = { ...given, account, run_id, shape, next: () => (n += 1) };
    const { letGo, hold } = createHolding(steered);
    const { begin, meddle, sendBackFrom } = createSteering(steered);
    return {
      hold,
      /** What comes before anybody answers at a gate. */
      async begin(view: RunView): Promise<void> {
        await letGo(view);
        await begin(view);
      },
      meddle,
      sendBackFrom,
    };
  };
}

function createHolding({ insist, random, firsts, account, run_id, next }: Steered) {
  let isHolding = false;

  function ask(op: 'hold' | 'release', why: string = op): Promise<Entry> {
    const n = next();
    const note = `${why}-${run_id}-${n}`;
    const request = { method: 'POST', path: `/runs/${run_id}/${op}`, body: { note } };
    return insist(account, { op, run_id, n, note }, request);
  }

  /** Nothing new is begun meanwhile. It is released also when it was never heard whether it is held. */
  async function hold(times: number): Promise<void> {
    for (let time = 1; time <= times; time += 1) {
      await sleep(random.between(0, time === 1 ? 1_500 : 4_000));
      isHolding = true;
      const { outcome } = await ask('hold');
      if (outcome === 'ok') firsts.note('runs held', run_id);
      if (outcome !== 'fail') {
        await sleep(random.between(held.least, held.most));
        await ask('release');
      }
      isHolding = false;
      if (outcome === 'fail') return;
    }
  }

  /** An API that was frozen with the first try of a hold in its hands may do it when all the others are answered. */
  async function letGo({ held_at }: RunView): Promise<void> {
    if (held_at && !isHolding) await ask('release', 'again');
  }

  return { hold, letGo };
}

function createSteering({ insist, random, firsts, isHurried, account, run_id, shape, next }: Steered) {
  let left = shape === 'steered' ? mostDeeds : shape === 'sent back' ? 2 : 0;
  let wasCorrected = shape !== 'steered';
  let wasSentBack = shape !== 'sent back';

  async function steer({ id: task_id, output }: TaskView, action: SteeringAction, isSilent = false): Promise<void> {
    const n = next();
    const note = `steer-${run_id}-${n}`;
    const text = isSilent ? undefined : `${action}-${run_id}-${n}.`;
    const body = { note, ...(text && { [action === 'retry' ? 'feedback' : 'output']: text }) };
    const request = { method: 'POST', path: `/runs/${run_id}/tasks/${task_id}/${action}`, body, key: note };
    const replaced = action === 'correct' ? output : undefined;
    const operation = { op: 'steer' as const, run_id, task_id, action, n, note, text, replaced };
    const { outcome } = await insist(account, operation, request);
    if (outcome === 'ok' && action === 'correct') firsts.note('tasks corrected', run_id);
  }

  async function change(): Promise<void> {
    const n = next();
    const note = `change-${run_id}-${n}`;
    const changes: Change[] = [
      { metadata: { turn: String(n), course: shape } },
      { tags: [`turn-${n}`, 'chaos'] },
      // More than it needs: what is less is of the runs that are short of it.
      { max_tokens: 10_000_000 + n },
    ];
    const given = random.pick(changes);
    const request = { method: 'PATCH', path: `/runs/${run_id}`, body: { ...given, note } };
    await insist(account, { op: 'change', run_id, n, note, change: given }, request);
  }

  /** Corrects a task that is done, as soon as there is one: before it waits for nobody any more. */
  async function begin({ tasks }: RunView): Promise<void> {
    const done = planned(tasks).filter(({ status }) => status === 'completed');
    if (wasCorrected || done.length === 0) return;
    wasCorrected = true;
    left -= 1;
    await steer(random.pick(done), 'correct');
  }

  /** One of all that can be done to it, or nothing: while others answer at its gates. */
  async function meddle({ tasks, phase }: RunView): Promise<void> {
    if (shape !== 'steered' || !wasCorrected || left <= 0 || phase === 'done' || random.chance(0.3)) return;
    left -= 1;
    if (!isHurried()) await sleep(random.between(0, 2_500));
    if (random.chance(0.2)) return change();
    const possible = planned(tasks).flatMap((task) => actionsFor(task).map((action) => ({ task, action })));
    if (possible.length === 0) return;
    const { task, action } = random.pick(possible);
    await steer(task, action, action === 'cancel' || (action === 'skip' && random.chance(0.5)));
  }

  /** The task before this one that is to be done again, when those who answer at its gate send it back. */
  function sendBackFrom({ tasks }: RunView, { id, gate }: TaskView): string | undefined {
    const before = ancestors(tasks, id);
    if (left <= 0 || before.length === 0 || !gate || !['human_task', 'approval'].includes(gate.kind)) return undefined;
    if (wasSentBack && (isHurried() || random.chance(shape === 'sent back' ? 0.5 : 0.8))) return undefined;
    wasSentBack = true;
    left -= 1;
    return random.pick(before);
  }

  return { begin, meddle, sendBackFrom };
}

const planned = (tasks: TaskView[]) => tasks.filter(isPlanned);

/** What can be done to a task as it is; what stands twice comes more often. */
function actionsFor({ status }: TaskView): SteeringAction[] {
  switch (status) {
    case 'completed':
      return ['correct', 'correct', 'retry'];
    case 'pending':
      return ['skip', 'cancel'];
    case 'skipped':
    case 'cancelled':
    case 'failed':
      return ['retry'];
    default:
      return ['retry', 'skip', 'skip', 'cancel'];
  }
}
