import { entries, isEnded, time, type Invariant } from './runs.ts';
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
    if (status === 'closed' && !['cancelled', 'failed'].includes(run.status) && run.attempt === 1) {
      faults.push(`${gate_id} was closed by nobody; its run is ${run.status}`);
    }
    if (status === 'expired' && endOf(e, run, gate) === 'wait')
      faults.push(`${gate_id} expired, which nobody asked for`);
    if (status !== 'answered') continue;
    const given = entries(e, 'complete').filter((entry) => entry.gate_id === gate_id && entry.outcome !== 'fail');
    if (!given.some((entry) => entry.decision === decision)) faults.push(`${gate_id}: nobody sent ${decision}`);
    if (decision === 'reject' || decision === 'retry') continue;
    const after = e.tasks.filter((task) => task.run_id === run_id && task.depends_on.includes(task_id));
    for (const { id } of after) {
      const first = e.calls.find((call) => call.run_id === run_id && call.purpose === 'execute' && call.task_id === id);
      if (first && first.received_at < time(gate.answered_at!) - 50) {
        faults.push(
          `${run_id} ${id} began at ${first.received_at}, before ${gate_id} was answered at ${gate.answered_at}`,
        );
      }
    }
  }
  for (const { run_id } of e.runs.filter((run) => run.require_approval && run.status === 'completed')) {
    for (const { id } of e.tasks.filter((task) => task.run_id === run_id && task.kind === 'ai')) {
      const passed = e.gates.some(
        (gate) =>
          gate.run_id === run_id && gate.task_id === id && gate.kind !== 'tool_approval' && gate.status === 'answered',
      );
      if (!passed) faults.push(`${run_id} ${id} was completed without approval`);
    }
  }
  return faults;
};
