import type { Context } from 'hono';
import { problemDetails, problemOf, waysOutOfV1 } from '../../http/problems.ts';

/** Orchflow's errors: problem details (RFC 9457), with pointers into the body of the request. */
export function answerError(error: unknown, c: Context): Response {
  return problemDetails(c, problemOf(error, waysOutOfV1));
}
