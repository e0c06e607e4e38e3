import { CancellationScope } from '@temporalio/workflow';

/**
 * The cancellation of a run that Postgres has cancelled already. It rejects when Temporal's request comes, and that comes:
 * the outbox tells Temporal until it has heard it. Until then there is nothing that the run could do.
 */
export function cancellationFromPostgres(): Promise<never> {
  return CancellationScope.current().cancelRequested;
}
