/** All that is told of runs: in their streams, and to those who subscribe to it. */
export const eventTypes = [
  'run.created',
  'run.started',
  'run.phase',
  'run.planned',
  'run.warning',
  'run.retried',
  'run.held',
  'run.released',
  'run.completed',
  'run.failed',
  'run.cancelled',
  'run.changed',
  'task.started',
  'task.evaluated',
  'task.retrying',
  'task.completed',
  'task.failed',
  'task.cancelled',
  'task.skipped',
  'task.retried',
  'task.corrected',
  'agent.turn',
  'tool.called',
  'tool.result',
  'gate.opened',
  'gate.assigned',
  'gate.unassigned',
  'gate.answered',
  'gate.reminder',
  'gate.overdue',
  'gate.expired',
  'call.retrying',
  'budget.warning',
  'step.parallel_start',
  'step.branch_start',
  'step.parallel_complete',
  'step.loop_iteration',
  'step.loop_complete',
  'step.loop_limit_reached',
  'step.if_else_decision',
  'step.switch_decision',
  'step.evaluator_decision',
] as const;

export type EventType = (typeof eventTypes)[number];

/** What is told of accounts beside their runs: to those who subscribe to it. */
export const accountEventTypes = ['knowledge.indexed', 'knowledge.failed'] as const;

/** `key` is unique in its run, so that an event written twice is one event. */
export type RunEvent = { key: string; type: EventType; data: Record<string, unknown> };

/**
 * An event of a run, as its workflow records it, and activities that tell of the same before the workflow hears of it:
 * written by both, it is one event.
 */
export function eventOf(type: EventType, data: Record<string, unknown> = {}): RunEvent {
  return { key: keyOf(type, data), type, data };
}

/**
 * An event is known by what it says, and not by its number: a workflow task that is lost with its worker has written its
 * events all the same, and when it is made again others may come before them.
 */
function keyOf(
  type: string,
  { task_id, attempt, turn, call_id, gate_id, phase, warning, reminder, n, round }: Record<string, unknown>,
): string {
  return [type, task_id, attempt, turn, call_id, gate_id, phase, warning, reminder, n, round]
    .filter((part) => part !== undefined)
    .map(String)
    .join('/');
}
