import type { Context } from 'hono';
import { problemDetails, problemOf, type WaysOut } from '../../http/problems.ts';

const waysOut: WaysOut = {
  create_orchestration: 'Create one of your own with POST /api/v1/orchestrations.',
  list_tools: 'GET /api/v1/tools lists them.',
  register_provider: 'Register a provider with POST /api/v1/providers and pass its provider_id.',
  register_vendor: 'Register one with POST /api/v1/providers.',
  replace_orchestration: 'Replace it with PUT.',
};

/** Orchflow's errors: problem details (RFC 9457), with pointers into the body of the request. */
export function answerError(error: unknown, c: Context): Response {
  return problemDetails(c, problemOf(error, waysOut));
}
