import type { Context } from 'hono';
import type { RunStatus } from '../../../workflows/contract/states.ts';
import { DomainError } from '../../errors.ts';
import { problemDetails, problemOf, waysOutOfV1 } from '../../http/problems.ts';
import { wireStatus } from './run-view.ts';

/** The errors of orchestrations: problem details (RFC 9457), with pointers into the definition or the request. */
export function answerError(error: unknown, c: Context): Response {
  return problemDetails(c, problemOf(inOwnWords(error), waysOutOfV1));
}

/** A run that waits for a person is `paused` here, and one that has not begun is `running`. */
function inOwnWords(error: unknown): unknown {
  if (!(error instanceof DomainError) || error.code !== 'RUN_NOT_FAILED') return error;
  const run_status = wireStatus(error.members.run_status as RunStatus);
  const message = `The run is ${run_status}; only one that has failed is tried again.`;
  return new DomainError('RUN_NOT_FAILED', message, { members: { run_status } });
}
