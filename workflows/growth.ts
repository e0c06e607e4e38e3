/**
 * How long its history has grown, as a workflow counts it itself. What `workflowInfo()` says of that may be another number when the
 * history is replayed, where a query was answered while a workflow task was on its way to a worker that is gone: what is decided by
 * it is then not what stands in the history (docs/surprises.md).
 */

/**
 * Where each thing comes by itself, the history has so many events of it, with those of the workflow task that hears it: fewer where
 * several come at once. Search attributes and markers are not counted.
 */
export const eventsOf = { signal: 4, timer: 1, firedTimer: 4, activity: 6, localActivity: 4, child: 9 };

const grown = { events: 0, bytes: 0 };

/** Events and, of what it was told and activities were given, bytes of JSON, since the run began or continued as new. */
export function growth(): Readonly<typeof grown> {
  return grown;
}

export function grow(kind: keyof typeof eventsOf, args: unknown[] = []): void {
  grown.events += eventsOf[kind];
  if (args.length > 0) grown.bytes += JSON.stringify(args).length;
}
