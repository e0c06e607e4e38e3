import { randomUUID } from 'node:crypto';
import type { Context } from 'hono';
import { answerCall, leaveCall, type Waiter } from '../../../db/agent-calls.ts';
import type { AppEnv } from '../../http/env.ts';
import { whenLeft } from '../../http/left.ts';

/** Who waits for the answer of a call, as long as their connection is there. */
export type Waiting = Waiter & {
  /** From now on there is a run, or will never be one: what has become of who waits is kept with it, also what has already. */
  begun: () => void;
  /** What is sent now is the answer: once the last of it has left, they are answered. */
  isAnswer: () => void;
};

/** What has become of who waits is tried to be kept so often, a second after the other: longer than Postgres is away, mostly. */
const mostTries = 60;

/**
 * Somebody waits on this connection, until all that they are sent has left, or the connection is closed. Where that was no answer,
 * or not all of it, they have left without one. Comes before anything is begun for them.
 */
export function waitOn(c: Context<AppEnv>): Waiting {
  const { db, log, runEvents } = c.var.deps;
  const waiter = randomUUID();
  let isAnswer = false;
  let hasBegun = false;
  let ended: typeof answerCall | undefined;

  function keep(tries = 1): void {
    if (!hasBegun) return;
    ended?.(db, waiter).catch((err: unknown) => {
      if (tries < mostTries) return void setTimeout(() => keep(tries + 1), 1_000).unref();
      // Not said, it is seen when this process is gone.
      log.warn({ err }, 'what has become of a call is not kept');
    });
  }

  function end(how: typeof answerCall): void {
    if (ended) return;
    ended = how;
    keep();
  }

  c.env.outgoing.once('finish', () => end(isAnswer ? answerCall : leaveCall));
  whenLeft(c.env, () => end(leaveCall));

  return {
    waiter,
    listener: runEvents.listener,
    begun() {
      hasBegun = true;
      keep();
    },
    isAnswer: () => void (isAnswer = true),
  };
}
