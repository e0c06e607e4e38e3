import { WorkflowNotFoundError, type Client } from '@temporalio/client';

/** Without one, a call to a Temporal that is down blocks for more than ten seconds. */
const deadline_ms = 2_500;

/** A call to Temporal that fails after seconds and never hangs. */
export function withDeadline<T>(client: Client, call: () => Promise<T>): Promise<T> {
  return client.withDeadline(Date.now() + deadline_ms, call);
}

/** What was asked of a workflow; undefined when Temporal does not know it. */
export async function found<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}
