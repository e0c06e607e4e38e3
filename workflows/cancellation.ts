import { CancellationScope, CancelledFailure } from '@temporalio/workflow';

/**
 * The cancellation of a run that Postgres has cancelled already. It rejects when Temporal's request comes, and that comes:
 * the outbox tells Temporal until it has heard it. Until then there is nothing that the run could do.
 */
export function cancellationFromPostgres(): Promise<never> {
  return CancellationScope.current().cancelRequested;
}

/** True of work that was stopped by itself, and not with its run. */
export function isStoppedAlone(scope: CancellationScope): boolean {
  return scope.consideredCancelled && !scope.parent?.consideredCancelled;
}

/**
 * To be asked where work goes on after it has waited. A cancellation does not reject what comes in the same moment, so that
 * work which was stopped by itself would go on.
 * @throws CancelledFailure
 */
export function stopHere(run: { readonly scope: CancellationScope }): void {
  const isStopped = CancellationScope.current().consideredCancelled && !run.scope.consideredCancelled;
  if (isStopped) throw new CancelledFailure('A person has steered the run.');
}
