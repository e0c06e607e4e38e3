import type { Context } from 'hono';
import { insertRun } from '../../db/runs.ts';
import type { NewRun } from '../../db/schema.ts';
import type { AppDeps, AppEnv } from '../deps.ts';
import type { IdSeed } from '../ids.ts';
import { overQuota, quotaOf } from '../agents/models.ts';

/**
 * Accepts a run: it will not be lost, and starts in the background. `insertMore` is what comes with it, all or nothing.
 * Throws 402 and 429 when the account's quota is used up.
 */
export async function startRun(
  { db, config, outbox }: AppDeps,
  run: NewRun,
  idempotency: IdSeed | undefined,
  insertMore?: Parameters<typeof insertRun>[4],
): Promise<void> {
  const quota = quotaOf(config, run.provider_id ?? null);
  const accepted = await outbox.accept(insertRun(db, run, quota, idempotency?.isRetry, insertMore));
  if (accepted.refused) throw overQuota(accepted.refused, config);
  outbox.send(accepted.entry);
}

/** 201, with where the run is. */
export function answerStarted(c: Context<AppEnv>, run_id: string) {
  c.header('Location', `/api/v1/runs/${run_id}`);
  const message = `Run started. Poll GET /runs/${run_id} for status.`;
  return c.json({ run_id, status: 'pending' as const, message }, 201);
}
