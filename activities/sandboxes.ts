import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure, Context } from '@temporalio/activity';
import { codeStatus, noSandbox } from '../src/code/terms.ts';
import type { ActivityDeps } from './deps.ts';

/** Longer than it takes a worker to start, and the longest that one is expected to be away, in milliseconds. */
const patience = { off: 30_000, unknown: 10 * 60_000 };
const lookEvery_ms = 1_000;

/** Whether there is a worker that runs code. */
export function createSandboxActivities({ db }: ActivityDeps) {
  return {
    /** Waits until there is one. @throws `NoSandbox` when workers say that they have none, or none says anything. */
    async waitForSandbox(_: { run_id: string }): Promise<void> {
      const { cancellationSignal } = Context.current();
      for (const since = Date.now(); ;) {
        Context.current().heartbeat();
        const { status, reason } = await codeStatus(db);
        if (status === 'ok') return;
        if (Date.now() - since > patience[status])
          throw ApplicationFailure.nonRetryable(noSandbox(reason), 'NoSandbox');
        await sleep(lookEvery_ms, undefined, { signal: cancellationSignal });
      }
    },
  };
}
