import type { Evidence } from '../evidence.ts';
import { isGiven, touchesOf } from '../steerings.ts';
import { entries, isEnded, stands, time, type Invariant } from './runs.ts';
import { endOf } from './timers.ts';

/**
 * 6. No machine passes a gate, unless it was asked to when nobody answers in time: each answer at one was given by a
 * person, and before what depends on the task.
 */
export const gatesArePassedByPeople: Invariant = (e) => {
  const faults: string[] = [];
  for (const gate of e.gates) {
    const { gate_id, run_id, task_id, status, decision } = gate;
    const run = e.runs.find((row) => row.run_id === run_id)!;
    if (status === 'open' && isEnded(run.status)) faults.push(`${gate_id} is open, and its run ${run.status}`);
    // One that was tried again has failed before.
    const touches = touchesOf(e, run_id, task_id);
    if (status === 'closed' && !['cancelled', 'failed'].includes(run.status) && run.attempt === 1 && !touches.length) {
      faults.push(`${gate_id} was closed by nobody; its run is ${run.status}`);
    }
    if (status === 'expired' && endOf(e, run, gate) === 'wait')
      faults.push(`${gate_id} expired, which nobody asked for`);
    if (status !== 'answered') continue;
    const given = entries(e, 'complete').filter((entry) => entry.gate_id === gate_id && entry.outcome !== 'fail');
    if (!given.some((entry) => entry.decision === decision)) faults.push(`${gate_id}: nobody sent ${decision}`);
    if (decision === 'reject' || decision === 'retry') continue;
    const isLast = !e.gates.some((one) => one.run_id === run_id && one.task_id === task_id && isLater(one, gate));
    const after = e.tasks.filter((task) => task.run_id === run_id && task.depends_on.includes(task_id));
    for (const task of after) {
      const { id } = task;
      const first = e.calls.find(
        (call) =>
          call.run_id === run_id &&
          call.purpose === 'execute' &&
          call.task_id === id &&
          // Of what is done again, the last time counts.
          (touches.length === 0 || (isLast && stands(task, call))),
      );
      if (first && first.received_at < time(gate.answered_at!) - 50) {
        faults.push(
          `${run_id} ${id} began at ${first.received_at}, before ${gate_id} was answered at ${gate.answered_at}`,
        );
      }
    }
  }
  for (const { run_id } of e.runs.filter((run) => run.require_approval && run.status === 'completed')) {
    const ofModels = e.tasks.filter((task) => task.run_id === run_id && task.kind === 'ai');
    for (const { id } of ofModels.filter((task) => task.status === 'completed' && !isGiven(task))) {
      const passed = e.gates.some(
        (gate) =>
          gate.run_id === run_id && gate.task_id === id && gate.kind !== 'tool_approval' && gate.status === 'answered',
      );
      if (!passed) faults.push(`${run_id} ${id} was completed without approval`);
    }
  }
  return faults;
};

type Gate = Evidence['gates'][number];

const isLater = (one: Gate, other: Gate) => time(one.opened_at) > time(other.opened_at);
