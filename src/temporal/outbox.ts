import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Db } from '../../db/index.ts';
import { failUnstarted } from '../../db/run-ends.ts';
import { claimOutboxEntries, deleteOutboxEntry, postponeOutboxEntry, type OutboxEntry } from '../../db/outbox.ts';
import type { Engine } from './engine.ts';
import { createRunQueue } from './run-queue.ts';
import { InputTooLarge } from './starts.ts';

const maxUnderway = 2;
const maxQueued = 1_000;
/** With so much in the queue, no run is begun that was to begin later: others would wait behind it. */
const busyFrom = 100;
/** In milliseconds: what is being accepted is looked at so often, and is given way for no longer than this. */
const giveWayInterval = 5;
const longestBurst = 100;
const sweepInterval = 500;
const sweepSize = 50;

export type Outbox = ReturnType<typeof createOutbox>;

type OutboxDeps = {
  db: Db;
  engine: Engine;
  log: Logger;
  /** How many runs of an account may have begun and not ended; undefined is as many as it likes. */
  maxActiveRuns: number | undefined;
};

/**
 * Brings to Temporal what was committed for it: at once when all is well, again and again when it is not. Begins the runs
 * that wait for their time, or for a place in their account.
 */
export function createOutbox({ db, engine, log, maxActiveRuns }: OutboxDeps) {
  const stopping = new AbortController();
  const queue: OutboxEntry[] = [];
  const runs = createRunQueue(db, maxActiveRuns ?? null, { send, isBusy: () => queue.length >= busyFrom });
  let sending: Promise<void> | undefined;
  let accepting = 0;

  async function deliver(entry: OutboxEntry): Promise<void> {
    try {
      const { run_id, message } = entry;
      if (!(await engine.deliver(entry)))
        log.info({ run_id, message: message.kind }, 'ended in Temporal, or not known there');
      await deleteOutboxEntry(db, entry.outbox_id);
    } catch (error) {
      log.warn(
        { run_id: entry.run_id, message: entry.message.kind, attempts: entry.attempts, err: error },
        'not delivered yet',
      );
      // When Postgres is down too, the claim runs out by itself.
      await notDelivered(db, entry, error).catch(() => {});
    }
  }

  /** What commits an entry. Nothing is delivered meanwhile: a burst is answered before Temporal and the workers hear of it. */
  async function accept<T>(commit: Promise<T>): Promise<T> {
    accepting += 1;
    try {
      return await commit;
    } finally {
      accepting -= 1;
    }
  }

  /** Delivers an entry that was just committed, in the background. Beyond a full queue the sweep takes over. */
  function send(entry: OutboxEntry | undefined): void {
    if (!entry || queue.length >= maxQueued) return;
    queue.push(entry);
    sending ??= deliverQueued();
  }

  async function deliverQueued(): Promise<void> {
    while (queue.length > 0) {
      await giveWay();
      await Promise.all(Array.from({ length: maxUnderway }, deliverInTurn));
    }
    sending = undefined;
  }

  async function giveWay(): Promise<void> {
    const latest = performance.now() + longestBurst;
    while (accepting > 0 && performance.now() < latest) await sleep(giveWayInterval);
  }

  async function deliverInTurn(): Promise<void> {
    for (let entry = queue.shift(); entry; entry = queue.shift()) await deliver(entry);
  }

  async function sweep(): Promise<void> {
    while (!stopping.signal.aborted) {
      const mayMore = await runs.beginDue().catch(() => false);
      const entries = await claimOutboxEntries(db, sweepSize).catch(() => []);
      await Promise.all(entries.map(deliver));
      if (mayMore || entries.length >= sweepSize) continue;
      await sleep(sweepInterval, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }

  const sweeping = sweep();

  /** Resolves when nothing is being delivered any more. What is left is delivered by the next process. */
  async function stop(): Promise<void> {
    stopping.abort();
    await sweeping;
    await runs.settled();
    await sending;
  }

  return { accept, send, begin: runs.begin, ended: runs.ended, stop };
}

/** Tried again later, unless Temporal will never take it. */
function notDelivered(db: Db, entry: OutboxEntry, error: unknown): Promise<void> {
  return error instanceof InputTooLarge ? failUnstarted(db, entry, error.message) : postponeOutboxEntry(db, entry);
}
