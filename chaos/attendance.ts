import { setTimeout as sleep } from 'node:timers/promises';
import type { RunView } from '../db/run-views.ts';
import type { Account } from './accounts.ts';
import type { Course } from './course.ts';
import { waiting_ms, type Firsts } from './firsts.ts';
import type { Entry } from './journal.ts';
import type { createPeople } from './people.ts';
import type { Random } from './random.ts';
import type { Requests } from './requests.ts';

/** Those who look at a run until it has ended, and what ends it. */

/** Of one orchestration, or run of an agent, that fails. */
const maxRetries = 3;

export type Attend = ReturnType<typeof createAttendance>;

type Attending = Pick<Requests, 'attempt'> &
  Pick<ReturnType<typeof createEnds>, 'retry'> & {
    answer: ReturnType<typeof createPeople>;
    random: Random;
    firsts: Firsts;
  };

export function createAttendance({ attempt, retry, answer, random, firsts }: Attending, signal: AbortSignal) {
  /** Hears of a run as it is read: whether it waited for a place, and has begun. */
  function watchPlace(): (view: RunView) => void {
    let queued: { from: number; to: number } | undefined;
    return ({ run_id, queue_position, started_at }) => {
      if (queue_position) queued = { from: queued?.from ?? Date.now(), to: Date.now() };
      else if (started_at && queued && queued.to - queued.from > waiting_ms)
        firsts.note('runs that waited for a place', run_id);
    };
  }

  /** Looks at the run and answers what waits, until it has ended; a failed orchestration is tried again. */
  return async function attend(account: Account, run_id: string, course: Course): Promise<RunView | undefined> {
    const rejected = new Map<string, number>();
    let retries = 0;
    const watch = watchPlace();
    while (!signal.aborted) {
      const request = { method: 'GET', path: `/runs/${run_id}` };
      const { outcome, body } = await attempt(account, { op: 'get', run_id }, request);
      const view = outcome === 'ok' ? (body as RunView) : undefined;
      if (view) watch(view);
      if (view?.status === 'failed' && view.kind !== 'goal' && retries < maxRetries) {
        retries += 1;
        await retry(account, view, retries);
      } else if (view && ['completed', 'failed', 'cancelled'].includes(view.status)) return view;
      if (view) {
        await course.begin(view);
        const waiting = view.tasks.filter(({ id }) => view.waiting_tasks.includes(id));
        const answered = waiting.map((task) =>
          answer(account, run_id, task, { rejected, send_back_to: course.sendBackFrom(view, task) }),
        );
        await Promise.all([...answered, course.meddle(view)]);
      }
      await sleep(random.between(200, 600));
    }
    return undefined;
  };
}

/** What ends a run, and tries it again. */
export function createEnds({ insist }: Requests) {
  function cancel(account: Account, run_id: string, isOrchestration: boolean): Promise<Entry> {
    const request = isOrchestration
      ? { method: 'POST', path: `/orchestrations/runs/${run_id}/cancel` }
      : { method: 'DELETE', path: `/runs/${run_id}` };
    return insist(account, { op: 'cancel', run_id }, request);
  }

  function retry(account: Account, { run_id, kind }: RunView, n: number): Promise<Entry> {
    const path = kind === 'orchestration' ? `/orchestrations/runs/${run_id}/retry?wait=0` : `/runs/${run_id}/retry`;
    return insist(account, { op: 'retry', run_id, n }, { method: 'POST', path, key: `retry-${run_id}-${n}` });
  }

  return { cancel, retry };
}
