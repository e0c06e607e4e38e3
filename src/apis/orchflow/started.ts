import type { Context } from 'hono';
import { findDelay } from '../../../db/holds.ts';
import type { AppEnv } from '../../http/env.ts';
import type { StartTimeRequest } from '../../runs/start-time.ts';

const begins = {
  start_at: (at: string | null) => `Run accepted. It begins at ${at}.`,
  place: () => 'Run accepted. It begins when the account has a place for it.',
  release: () => 'Run accepted. It is held, and begins when it is released.',
};

/**
 * 201, with where the run is, and what it waits for before it begins. Where it waits for nothing, as places are not limited and
 * no time was `asked` for, the database is not asked.
 */
export async function started(c: Context<AppEnv>, run_id: string, asked: StartTimeRequest) {
  c.header('Location', `/api/v1/runs/${run_id}`);
  const accepted = { run_id, status: 'pending' as const };
  const poll = `Poll GET /runs/${run_id} for status.`;
  const { db, quotas } = c.var.deps;
  const most = quotas.MAX_ACTIVE_RUNS_PER_ACCOUNT;
  const isLater = asked.start_at !== undefined || asked.start_in !== undefined;
  const delay = isLater || most !== undefined ? await findDelay(db, run_id, most) : undefined;
  const { pending_for = null, start_at = null } = delay ?? {};
  const begun = start_at ? 'Run started: its `start_at` is over.' : 'Run started.';
  const message = `${pending_for ? begins[pending_for](start_at) : begun} ${poll}`;
  return c.json({ ...accepted, message, ...(pending_for && { pending_for }), ...(start_at && { start_at }) }, 201);
}
