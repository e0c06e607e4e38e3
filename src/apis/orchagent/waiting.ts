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

  function keep(): void {
    if (!hasBegun) return;
    // Not said, it is seen when this process is gone.
    ended?.(db, waiter).catch((err: unknown) => log.warn({ err }, 'what has become of a call is not kept'));
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
