import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { assignGate, forgetLook, listLooks, listToAssign } from '../../db/assignments.ts';
import { isUnavailable, type Db } from '../../db/index.ts';
import type { LiveSender } from '../../db/live.ts';

const interval_ms = 2_000;
/** So many are looked at before it is asked anew what there is. */
const batch = 100;

/** PostgreSQL has given the statement up. */
const isTooSlow = (error: unknown) => (error as { code?: string }).code === '57014';

export type Assigner = ReturnType<typeof createAssigner>;

/**
 * Gives gates that wait for somebody to who fits by now, and those of people who may not have them any more to the next, until
 * it is stopped; each API has one. In which accounts there is something to do is noted in Postgres, so that nothing is lost with a
 * process; one account after the other is looked at, and each gate by itself, with its run locked, so that several do each once.
 */
export function createAssigner({ db, live, log }: { db: Db; live: LiveSender; log: Logger }) {
  const stopping = new AbortController();
  /** By account. What is asked for meanwhile is looked at after that, once. */
  const underway = new Map<string, { isAskedAgain: boolean; done: Promise<void> }>();

  /** Returns whether nothing is left that somebody else was at. */
  async function assignAll(account_id: string): Promise<boolean> {
    for (;;) {
      const found = await listToAssign(db, account_id, batch);
      const results = new Set<string>();
      for (const gate of found) {
        if (stopping.signal.aborted) return false;
        const result = await assignGate(db, gate);
        results.add(result);
        if (result === 'changed') live.changed(gate.run_id);
      }
      if (!results.has('changed')) return !results.has('busy');
    }
  }

  async function assign(account_id?: string): Promise<void> {
    const looks = await listLooks(db, account_id).catch(tell);
    for (const look of looks ?? []) {
      if (stopping.signal.aborted) return;
      try {
        if (await assignAll(look.account_id)) await forgetLook(db, look);
      } catch (error) {
        tell(error, look.account_id);
      }
    }
  }

  function tell(error: unknown, account_id?: string): undefined {
    if (!isUnavailable(error) || isTooSlow(error))
      log.warn({ err: error, account_id }, 'gates were not assigned; looked at again soon');
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
