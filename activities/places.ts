import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Room } from '../db/work.ts';
import { heldPause } from '../workflows/contract/steering.ts';

/**
 * Places for work that tenants can make slow, in a worker. An account may have `weight` times as many as are free: one
 * that is alone gets most of them, several get equal shares, and who comes next finds one (dynamic thresholds: Choudhury
 * and Hahne, 1998). Only the first place of an account may be the last that is free. What all work of an account holds in memory at
 * once has a bound besides, in bytes.
 */
export function createPlaces(all: number, weight: number, most_bytes = Infinity) {
  const taken = new Map<string, number>();
  /** How often an account was put off since it last took one. */
  const inVain = new Map<string, number>();
  /** In bytes. */
  const held = new Map<string, number>();
  let free = all;

  /** Takes a place for the account. Returns the function that gives it back; undefined when there is none for it. */
  function take(account_id: string): (() => void) | undefined {
    const own = taken.get(account_id) ?? 0;
    if (free === 0 || (own > 0 && own + 1 > weight * (free - 1))) return undefined;
    inVain.delete(account_id);
    taken.set(account_id, own + 1);
    free -= 1;
    return () => {
      free += 1;
      const left = taken.get(account_id)! - 1;
      if (left) taken.set(account_id, left);
      else {
        taken.delete(account_id);
        inVain.delete(account_id);
      }
    };
  }

  /**
   * How long, in milliseconds and on average, work of the account that found no place, and is put off now, is to wait before it
   * looks again: seconds while places come free, and up to a minute where none does, for each look costs more than it does here.
   */
  function pause(account_id: string): number {
    const times = (inVain.get(account_id) ?? 0) + 1;
    inVain.set(account_id, times);
    return meanPause_ms * Math.min(Math.max(times / all, 1), mostPauses);
  }

  /** Room for one work of the account. The only one that holds anything is never refused more, however much that is. */
  function roomFor(account_id: string): Room {
    let own = 0;
    const hold = (bytes: number) => {
      own += bytes;
      const all_bytes = (held.get(account_id) ?? 0) + bytes;
      if (all_bytes > 0) held.set(account_id, all_bytes);
      else held.delete(account_id);
    };
    return {
      take(bytes) {
        const others = (held.get(account_id) ?? 0) - own;
        if (others > 0 && others + own + bytes > most_bytes) return false;
        hold(bytes);
        return true;
      },
      give: (bytes) => hold(-bytes),
      leave: () => hold(-own),
    };
  }

  return { take, pause, roomFor };
}

const meanPause_ms = 5_500;
const mostPauses = 10;

export type Places = ReturnType<typeof createPlaces>;

/** For what is done in a moment, whoever it is of. */
export const enoughPlaces: Omit<Places, 'roomFor'> = { take: () => () => {}, pause: () => 0 };

/**
 * Tried again after such a time, and not all at the same time. What has waited for a quarter of its time ends, and what has
 * less time left: it is begun anew by its workflow, with all of its time, after what `details` says.
 */
export function putOff(type: 'WorkQueued', message: string, pause_ms = meanPause_ms): ApplicationFailure {
  const { scheduledTimestampMs, scheduleToCloseTimeoutMs } = Context.current().info;
  const nonRetryable = scheduleToCloseTimeoutMs > 0 && Date.now() - scheduledTimestampMs > scheduleToCloseTimeoutMs / 4;
  const nextRetryDelay = Math.round(pause_ms * (0.2 + Math.random() * 1.6));
  const details = [nextRetryDelay];
  return ApplicationFailure.create({ type, message, nonRetryable, nextRetryDelay, details, category: 'BENIGN' });
}

/** On average, in milliseconds: what is in the way is mostly a call to a model. */
const noRoomPause_ms = 10_000;

/** For work that reads, or asks, more than there is room for now. It holds nothing while it waits. */
export function noRoom(): ApplicationFailure {
  const message = 'Work of this account holds much at once; this waits until there is room.';
  return putOff('WorkQueued', message, noRoomPause_ms);
}

/** For a script that has not begun. */
export function noThread(): ApplicationFailure {
  return putOff('WorkQueued', 'Many scripts of this account are under way; this one waits until there is room.');
}

/** On average, in milliseconds: of a thousand documents that wait, each look costs more than it is late. */
const noReaderPause_ms = 10_000;

/** For a document that has not begun to be read. */
export function noReader(): ApplicationFailure {
  const message = 'Many documents of this account are being read; this one waits until there is room.';
  return putOff('WorkQueued', message, noReaderPause_ms);
}

const firstLooks_ms = 1_000;
const laterLooks_ms = 5_000;

/** Waits for an agent that was called, and leaves its place to that meanwhile: who waits must not be in the way of who is waited for. */
export function agentAtWork(): ApplicationFailure {
  const { attempt } = Context.current().info;
  const nextRetryDelay = attempt < 10 ? firstLooks_ms : laterLooks_ms;
  const message = 'The agent that was called is still at work.';
  return ApplicationFailure.create({ type: 'AgentAtWork', message, nextRetryDelay, category: 'BENIGN' });
}

const shortestPause_ms = 5_000;
const longestPause_ms = 60 * 60_000;

/**
 * Work of a suspended account waits for as long again as the account has been suspended, an hour at most, and then looks
 * again; so it goes on that soon once the account is resumed. Where a clock runs meanwhile, of the work or of its run
 * (`isTimed`), Temporal's waiting would use it up: there the workflow waits, for what `details` says.
 */
export function whileSuspended(suspended_ms: number, isTimed = false): ApplicationFailure {
  const nextRetryDelay = pauseAfter(suspended_ms);
  return ApplicationFailure.create({
    type: 'AccountSuspended',
    message: 'This account is suspended; what it has begun waits.',
    nonRetryable: isTimed,
    nextRetryDelay,
    details: [nextRetryDelay],
    category: 'BENIGN',
  });
}

/**
 * Work of a run that is held waits in its workflow, which hears of the release; should that get lost, it looks again after as
 * long as the run has been held.
 */
export function whileHeld(held_at: string): ApplicationFailure {
  const pause_ms = pauseAfter(Date.now() - Date.parse(held_at));
  return ApplicationFailure.create({
    type: 'AccountSuspended',
    message: 'This run is held; nothing new is begun in it.',
    nonRetryable: true,
    details: [pause_ms, heldPause],
    category: 'BENIGN',
  });
}

/** As long again as it has lasted, between seconds and an hour, and of many not all at the same time. */
function pauseAfter(lasted_ms: number): number {
  const pause_ms = Math.min(Math.max(lasted_ms, shortestPause_ms), longestPause_ms);
  return Math.ceil(pause_ms * (1 + Math.random() / 10));
}
