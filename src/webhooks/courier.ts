import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isUnavailable, type Db } from '../../db/index.ts';
import { finishDelivery, listAccountsWithDue, takeDelivery, type TakenDelivery } from '../../db/webhooks.ts';
import type { KeyRing } from '../crypto.ts';
import { attemptDelivery } from './attempt.ts';

const interval_ms = 500;
/** What is under way when the process stops may end for so long; what does not is sent again by another. */
const grace_ms = 10_000;

type CourierDeps = {
  db: Db;
  fetch: typeof fetch;
  encryptionKey: KeyRing;
  log: Logger;
  /** How many may be under way, of all accounts and of each. Undefined: there is none for this account now. */
  places: { take: (account_id: string) => (() => void) | undefined };
};

export type Courier = ReturnType<typeof createCourier>;

/**
 * Sends what waits for webhooks, of all runs and subscriptions, until it is stopped; each worker has one. What waits is in
 * Postgres, so nothing is lost with a process, and an attempt whose outcome was not noted is made again.
 */
export function createCourier({ db, fetch, encryptionKey, places, log }: CourierDeps) {
  const stopping = new AbortController();
  const underway = new Set<Promise<void>>();

  async function look(): Promise<void> {
    try {
      await Promise.all((await listAccountsWithDue(db)).map(serve));
    } catch (error) {
      if (!isUnavailable(error)) log.warn({ err: error }, 'what waits for webhooks was not looked for');
    }
  }

  /** Takes what an account has to send, as long as there are places for it. */
  async function serve(account_id: string): Promise<void> {
    while (!stopping.signal.aborted) {
      const leave = places.take(account_id);
      if (!leave) return;
      const delivery = await takeDelivery(db, account_id).catch((error: unknown) => {
        leave();
        throw error;
      });
      if (!delivery) return leave();
      const sent = send(delivery)
        .catch((error: unknown) => log.warn({ delivery_id: delivery.delivery_id, err: error }, 'it will be sent again'))
        .finally(leave);
      underway.add(sent);
      // What has waited for it, or for its place, comes next.
      void sent.then(() => {
        underway.delete(sent);
        serve(account_id).catch(() => {});
      });
    }
  }

  async function send(delivery: TakenDelivery): Promise<void> {
    const outcome = await attemptDelivery({ fetch, encryptionKey }, delivery);
    await finishDelivery(db, delivery.delivery_id, outcome);
  }

  async function lookAgainAndAgain(): Promise<void> {
    while (!stopping.signal.aborted) {
      await look();
      await sleep(interval_ms, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }
  const looking = lookAgainAndAgain();

  return {
    /** There is something to send. Without being told so, it is found half a second later. */
    look: () => void look(),
    /** Takes nothing more, and resolves when what is under way has ended, or has had its time. */
    async stop(): Promise<void> {
      stopping.abort();
      await looking;
      await Promise.race([Promise.all(underway), sleep(grace_ms, undefined, { ref: false })]);
    },
  };
}
