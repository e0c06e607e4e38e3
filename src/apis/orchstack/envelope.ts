import type { Context } from 'hono';
import { DomainError } from '../../errors.ts';
import { problemDetails, problemOf, waysOutOfV1, type WaysOut } from '../../http/problems.ts';

/** What OrchStack has a word of its own for; what it has not is asked for at `/api/v1`. */
const waysOut: WaysOut = {
  ...waysOutOfV1,
  create_orchestration: 'Create one of your own with POST /v1/workflows.',
  make_room_for_agent:
    'Delete one with DELETE /v1/agents/{agent_id}, or ask the operator of this server for a higher tier.',
  replace_orchestration: 'Change it with PATCH.',
};

/** OrchStack's errors, of which its page says nothing: the house's problem details (RFC 9457). */
export function answerError(error: unknown, c: Context): Response {
  return problemDetails(c, problemOf(inOwnWords(error), waysOut));
}

const ownNames: Record<string, string> = { Orchestration: 'Workflow', Subscription: 'Webhook' };

/** The house's things that have another name here. */
function inOwnWords(error: unknown): unknown {
  if (!(error instanceof DomainError)) return error;
  const { code, message, members, faults } = error;
  if (code === 'NOT_FOUND') {
    const [what, ...more] = message.split(' ');
    return new DomainError(code, [ownNames[what!] ?? what, ...more].join(' '), { members, faults });
  }
  if (code !== 'ORCHESTRATION_EXISTS') return error;
  const { way_out } = error;
  return new DomainError(code, message.replace('an orchestration', 'a workflow'), { way_out, members, faults });
}
