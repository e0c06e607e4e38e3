import type { Run } from '../../db/schema.ts';
import { webhooksPerTry } from '../../db/webhooks.ts';
import type { Carried } from '../../workflows/contract/inputs.ts';
import type { RunState } from '../../workflows/contract/states.ts';
import { policiesOf } from './gate-terms.ts';

/** What any run that is tried again takes along. Its webhooks have numbers of their own. */
export function triedAgain(
  run: Run,
  { phase, tasks, steered }: Pick<RunState, 'phase' | 'tasks' | 'steered'>,
): Carried {
  const { run_id, attempt, version, version_base, warnings, held_at } = run;
  const nothingYet = { status: 'running' as const, error: null, final_output_id: null };
  return {
    state: { ...nothingYet, run_id, phase, tasks, warnings, ...(steered && { steered }) },
    // Its workflow counts on from where the try before was in its own count.
    version: version - version_base,
    answers: [],
    openings: [],
    webhooks: (attempt - 1) * webhooksPerTry,
    terms: { n: run.event_seq, ...policiesOf(run, {}) },
    ...(held_at && { is_held: true as const }),
  };
}
