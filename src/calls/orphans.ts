import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { listOrphans } from '../../db/call-chains.ts';
import type { Db } from '../../db/index.ts';
import type { LiveSender } from '../../db/live.ts';
import { agentPrincipal } from '../accounts/principal.ts';
import { DomainError } from '../errors.ts';
import { cancelRun } from '../runs/cancel.ts';
import type { Outbox } from '../temporal/outbox.ts';

const interval = 5_000;

/**
 * Cancels, until the signal is aborted, what agents have called that were cancelled, or have failed, since: nobody waits for it, and it
 * is paid for. So it is also when whoever has ended them died in between. What an agent has called that has completed goes on: code may
 * begin something and not wait for it.
 */
export async function endOrphans(
  deps: { db: Db; outbox: Outbox; live: LiveSender; log: Logger },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await endThose(deps).catch((error: unknown) =>
      deps.log.debug({ err: error }, 'cannot look for calls that nobody waits for'),
    );
    await sleep(interval, undefined, { signal }).catch(() => {});
  }
}

async function endThose(deps: Parameters<typeof endOrphans>[0]): Promise<void> {
  for (const { run_id, account_id, key_id } of await listOrphans(deps.db)) {
    const principal = agentPrincipal({ account_id, key_id, mode: 'live' });
    await cancelRun(deps, principal, run_id, { note: 'What had called it has ended.' }).catch((error: unknown) => {
      // It may end by itself, or be purged, meanwhile.
      if (!(error instanceof DomainError))
        deps.log.warn({ err: error, run_id }, 'a call that nobody waits for goes on');
    });
  }
}
