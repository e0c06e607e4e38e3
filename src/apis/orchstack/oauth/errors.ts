import type { Context } from 'hono';
import { problems } from '../../../http/problem-codes.ts';
import { problemOf, setHeaders, waysOutOfV1 } from '../../../http/problems.ts';

/** What fails before OAuth is asked, or behind it, in OAuth's words (https://www.rfc-editor.org/rfc/rfc6749#section-5.2). */
export function answerError(error: unknown, c: Context): Response {
  const problem = problemOf(error, waysOutOfV1);
  const [status] = problems[problem.code];
  setHeaders(c, problem);
  const code =
    status === 500 ? 'server_error' : status === 429 || status === 503 ? 'temporarily_unavailable' : 'invalid_request';
  return c.json({ error: code, error_description: problem.detail }, status);
}
