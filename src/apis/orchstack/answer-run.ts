import type { Context } from 'hono';
import { z } from 'zod';
import { findRunResult } from '../../../db/run-results.ts';
import { answerAfter } from '../../http/answer-after.ts';
import { DomainError, notFound } from '../../errors.ts';
import type { AppEnv } from '../../http/env.ts';
import { keepOpen } from '../../http/keep-open.ts';
import { howItGoesOn } from '../../http/limit-unread.ts';
import { json } from '../../http/openapi.ts';
import { preferredWait } from '../../http/prefer.ts';
import { prefersEvents, sendEvents } from '../../http/sse.ts';
import { waitForRun } from '../../runs/wait.ts';
import { goesOnOf, hasResult, resultOf } from './run-view.ts';
import { longestWait, runAnswerSchema, usualWait } from './schemas/run.ts';
import { runToEvents } from './stream.ts';

/** What a run that was just started is answered with: what it has come to, or, as events, what happens in it. */

const answered = json(
  runAnswerSchema,
  'The run has ended, or waits for a person; or goes on after a wait of more than three seconds; or, as events, what happens in it',
);
const events = { 'text/event-stream': { schema: z.string() } };

export const runAnswers = {
  200: { ...answered, content: { ...answered.content, ...events } },
  202: json(runAnswerSchema, 'The run goes on, after a wait of three seconds or less; read it under its id'),
};

/** How a client wants its answer. Comes before the run is started, since it refuses what would be one open answer too many. */
export function wayOfAnswer(c: Context<AppEnv>, given: { stream?: boolean; wait?: number }) {
  const { stream = prefersEvents(c), wait = preferredWait(c, longestWait) ?? usualWait } = given;
  if (stream || wait > 0) keepOpen(c);
  return { stream, most_ms: wait * 1_000 };
}

/** Waits for the run, or streams it. A client that leaves loses nothing: the run goes on. */
export async function answerRun(
  c: Context<AppEnv>,
  run_id: string,
  { stream, most_ms, ofSteps }: ReturnType<typeof wayOfAnswer> & { ofSteps?: boolean },
) {
  const { db, runEvents } = c.var.deps;
  const { account_id } = c.var.principal;
  const read = () => findRunResult(db, account_id, run_id);
  c.header('Location', `/v1/runs/${run_id}`);
  if (stream) {
    c.header('Run-Id', run_id);
    return sendEvents(c, (signal) => runToEvents({ run_id, runEvents, read, most_ms, ofSteps }, signal));
  }
  const { signal } = c.req.raw;
  return answerAfter(c, {
    most_ms,
    wait: (left_ms) => waitForRun(runEvents, run_id, { read, hasResult }, { most_ms: left_ms, signal }),
    answer: (found) => {
      if (!found) throw notFound('Run');
      const result = resultOf(found);
      return c.json(result, 'message' in result ? 202 : 200);
    },
    otherwise: (failure) => {
      // One that is purged does not go on, and it is too late for 404.
      if (failure instanceof DomainError) throw failure;
      return c.json(goesOnOf(run_id, 'running', { how: howItGoesOn(failure) }), 202);
    },
  });
}
