import type { Context } from 'hono';
import type { RunStatus } from '../../workflows/contract/states.ts';
import { notFound } from '../errors.ts';
import { stays } from '../runs/events.ts';
import { answerAfter } from './answer-after.ts';
import type { AppEnv } from './env.ts';
import { keepOpen } from './keep-open.ts';

/** What `runWaitQuery` takes, with the house's statuses. */
type Wait = { wait?: number | undefined; seen?: RunStatus[] | undefined };

/**
 * Answers a read of a run: at once, or, with `wait`, when it has ended or waits for a person, or its status is none of `seen`, and
 * at the latest after the wait. `isThere` is asked before that, so that nobody waits for a run that is not found.
 */
export async function readRun<R extends Response>(
  c: Context<AppEnv>,
  run_id: string,
  { wait = 0, seen }: Wait,
  { isThere, read }: { isThere: () => Promise<boolean>; read: () => Promise<R> },
): Promise<R> {
  if (!wait) return read();
  keepOpen(c);
  if (!(await isThere())) throw notFound('Run');
  const { signal } = c.req.raw;
  return answerAfter(c, {
    most_ms: wait * 1_000,
    wait: (timeout_ms) => c.var.deps.runEvents.waitWhile(run_id, stays(seen), { timeout_ms, signal }),
    answer: read,
  });
}
