import type { Client } from '@temporalio/client';

/** Without one, a call to a Temporal that is down blocks for more than ten seconds. */
const deadline_ms = 2_500;

/** A call to Temporal that fails after seconds and never hangs. */
export function withDeadline<T>(client: Client, call: () => Promise<T>): Promise<T> {
  return client.withDeadline(Date.now() + deadline_ms, call);
}
