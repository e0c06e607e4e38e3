import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { assignGate, listToAssign } from '../../db/assignments.ts';
import { isUnavailable, type Db } from '../../db/index.ts';
import type { LiveSender } from '../../db/live.ts';

const interval_ms = 2_000;
/** So many are looked at before it is asked anew what there is. */
const batch = 100;

export type Assigner = ReturnType<typeof createAssigner>;

/**
 * Gives gates that wait for somebody to who fits by now, and those of people who may not have them any more to the next, until
 * it is stopped; each API has one. What there is to do is seen in Postgres, so that nothing is lost with a process, and each gate
 * is looked at by itself, with its run locked, so that several do each once.
 */
export function createAssigner({ db, live, log }: { db: Db; live: LiveSender; log: Logger }) {
  const stopping = new AbortController();
  /** By account. What is asked for meanwhile is looked at after that, once. */
  const underway = new Map<string, { isAskedAgain: boolean; done: Promise<void> }>();

  async function assign(account_id?: string): Promise<void> {
    try {
      for (let changed = true; changed && !stopping.signal.aborted;) {
        changed = false;
        for (const gate of await listToAssign(db, batch, account_id)) {
          if (stopping.signal.aborted) return;
          if (!(await assignGate(db, gate))) continue;
          changed = true;
          live.changed(gate.run_id);
        }
      }
    } catch (error) {
      if (!isUnavailable(error)) log.warn({ err: error }, 'gates were not assigned; looked at again soon');
    }
  }

  async function assignAgainAndAgain(): Promise<void> {
    while (!stopping.signal.aborted) {
      await assign();
      await sleep(interval_ms, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }
  const looking = assignAgainAndAgain();

  function lookAt(account_id: string): void {
    const done = assign(account_id).then(() => {
      const { isAskedAgain } = underway.get(account_id)!;
      underway.delete(account_id);
      if (isAskedAgain && !stopping.signal.aborted) lookAt(account_id);
    });
    underway.set(account_id, { isAskedAgain: false, done });
  }

  return {
    /** The people of this account have changed, or one has a place again. Without being told so, it is found two seconds later. */
    look(account_id: string): void {
      const before = underway.get(account_id);
      if (before) before.isAskedAgain = true;
      else lookAt(account_id);
    },
    /** Begins nothing more, and resolves when what is under way has ended. */
    async stop(): Promise<void> {
      stopping.abort();
      await looking;
      while (underway.size > 0) await Promise.all([...underway.values()].map(({ done }) => done));
    },
  };
}
