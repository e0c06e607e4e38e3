import { setTimeout as sleep } from 'node:timers/promises';
import type { Account } from './accounts.ts';
import type { Firsts } from './firsts.ts';
import type { Random } from './random.ts';
import type { Requests } from './requests.ts';
import type { Shape } from './shapes.ts';

/** Those who have runs forgotten that have ended. */

/** Where a run is read. */
const places = ['', '/tasks', '/events', '/audit', '/tasks/T1/attempts'];

type Given = Pick<Requests, 'insist' | 'read'> & { random: Random; firsts: Firsts };

export function createForgetting({ insist, read, random, firsts }: Given) {
  const purged = new Map<string, Account>();

  /** Some are purged: of the first of each shape those that others are like, and of later ones any that nobody reads again. */
  function isToGo(shape: Shape, isAgain: boolean): boolean {
    const isFirst = !isAgain || firsts.isDue('runs purged');
    if (!isFirst) return random.chance(0.35);
    return shape === 'plain' || (shape === 'cancelled' && random.chance(0.5));
  }

  /** Purges a run, mostly in the moment of its end; from then on it is not found. */
  async function purge(account: Account, run_id: string): Promise<void> {
    await sleep(random.chance(0.5) ? 0 : random.between(0, 4_000));
    const request = { method: 'DELETE', path: `/runs/${run_id}?purge=true` };
    const { outcome, status } = await insist(account, { op: 'purge', run_id, account: account.name }, request);
    // A first try was taken, and its answer lost.
    if (outcome !== 'ok' && status !== 404) return;
    purged.set(run_id, account);
    firsts.forget(run_id);
    firsts.note('runs purged', `purge of ${run_id}`);
    const path = `/runs/${run_id}`;
    await insist(account, { op: 'gone', run_id, path }, { method: 'GET', path });
  }

  /** Looks for all that were purged, wherever a run is read. */
  async function look(): Promise<void> {
    for (const [run_id, account] of purged) {
      const paths = places.map((place) => `/runs/${run_id}${place}`);
      await Promise.all(paths.map((path) => read(account, { op: 'gone', run_id, path }, path)));
    }
  }

  return { isToGo, purge, look };
}
