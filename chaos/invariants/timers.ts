import { matchesGate } from '../../src/runs/gate-words.ts';
import { gateName } from '../../workflows/contract/plan.ts';
import type { Evidence } from '../evidence.ts';
import { excusedUntil } from '../windows.ts';
import { time, type Invariant, type Run } from './runs.ts';

type Gate = Evidence['gates'][number];

/** From when a timer has had its time, a worker has to take it up. */
const slack = 10_000;

/** The terms of a gate: those of its entry of `human_gates`, else the run's. */
function termsOf(e: Evidence, run: Run, gate: Gate) {
  const { on_timeout, remind_every, escalation_webhook_url } = run;
  const title = taskOf(e, gate)?.title ?? '';
  const own = run.human_gates.find((entry) => gate.kind === 'human_task' && matchesGate(gateName(entry), title));
  return { on_timeout, remind_every, escalation_webhook_url, ...(typeof own === 'object' && own) };
}

function taskOf(e: Evidence, { run_id, task_id }: Gate) {
  return e.tasks.find((task) => task.run_id === run_id && task.id === task_id);
}

/** What the terms do with a gate that nobody answers; `wait` also where there is nothing that could be approved. */
export function endOf(e: Evidence, run: Run, gate: Gate): 'wait' | 'approve' | 'reject' | 'cancel' {
  const { on_timeout } = termsOf(e, run, gate);
  const hasNothing = gate.kind === 'budget' || taskOf(e, gate)?.title === 'Final output';
  return on_timeout === 'escalate' || (on_timeout === 'approve' && hasNothing) ? 'wait' : on_timeout;
}

/** 14. A timeout and an answer exclude each other; neither comes before its time, none is forgotten, and each does what was asked. */
export const timersKeepTheirTerms: Invariant = (e) =>
  e.gates.flatMap((gate) => {
    const run = e.runs.find(({ run_id }) => run_id === gate.run_id)!;
    return [...timeoutFaults(e, run, gate), ...forgottenFaults(e, run, gate), ...reminderFaults(e, run, gate)];
  });

function toldOf(e: Evidence, { gate_id }: Gate, type: string) {
  return e.events.filter((event) => event.type === type && event.data.gate_id === gate_id);
}

/** Until when the gate was open. */
function openUntil({ answered_at }: Gate, { completed_at }: Run): number {
  return time(answered_at ?? completed_at ?? new Date().toISOString());
}

function timeoutFaults(e: Evidence, run: Run, gate: Gate): string[] {
  const { gate_id, status, due_at } = gate;
  const isExpired = status === 'expired';
  const expired = toldOf(e, gate, 'gate.expired');
  const overdue = toldOf(e, gate, 'gate.overdue');
  const faults: string[] = [];
  if (expired.length !== (isExpired ? 1 : 0)) faults.push(`${gate_id} is ${status}, with ${expired.length} expiries`);
  if (isExpired && (gate.decision !== null || toldOf(e, gate, 'gate.answered').length > 0))
    faults.push(`${gate_id} expired, and was answered`);
  if (overdue.length > 1) faults.push(`${gate_id} was overdue ${overdue.length} times`);
  for (const { type, created_at } of [...expired, ...overdue]) {
    if (!due_at || time(created_at) < time(due_at) - 50)
      faults.push(`${gate_id}: ${type} at ${created_at}, due ${due_at}`);
  }
  // A person may cancel what is about to fail.
  const ends: Record<string, string[]> = { cancel: ['cancelled'], reject: ['failed', 'cancelled'] };
  const meant = ends[endOf(e, run, gate)] ?? [run.status];
  if (isExpired && !meant.includes(run.status)) faults.push(`${gate_id} expired, and its run is ${run.status}`);
  return faults;
}

/** Of what is due, and should have had an effect by then. */
function forgottenFaults(e: Evidence, run: Run, gate: Gate): string[] {
  const { gate_id, run_id, task_id, status, due_at } = gate;
  if (!due_at || status === 'expired') return [];
  const until = openUntil(gate, run);
  const overdue = toldOf(e, gate, 'gate.overdue').length > 0;
  if (until > excusedUntil(e, time(due_at), slack)) {
    if (endOf(e, run, gate) !== 'wait') return [`${gate_id} was due at ${due_at}, and ${status} only at ${until}`];
    if (!overdue) return [`${gate_id} was due at ${due_at}, and nobody was told`];
  }
  if (!overdue || termsOf(e, run, gate).on_timeout !== 'escalate') return [];
  const isEscalated = e.workflows.some(
    ({ workflow_id, text }) =>
      workflow_id.startsWith(`${run_id}/webhook/`) && text.includes('escalates') && text.includes(task_id),
  );
  return isEscalated ? [] : [`${gate_id} was overdue, and its escalation was not sent`];
}

function reminderFaults(e: Evidence, run: Run, gate: Gate): string[] {
  const { gate_id, opened_at } = gate;
  const { remind_every } = termsOf(e, run, gate);
  const reminders = toldOf(e, gate, 'gate.reminder').map(({ created_at, data }) => ({
    created_at,
    n: Number(data.reminder),
  }));
  if (remind_every === null) return reminders.map(({ n }) => `${gate_id} had reminder ${n}, which nobody asked for`);
  const interval = Number.parseInt(remind_every, 10) * 1_000;
  const until = openUntil(gate, run);
  const faults = reminders.flatMap(({ created_at, n }, index) => {
    const isEarly = time(created_at) < time(opened_at) + n * interval - 50;
    const isAgain = n <= (reminders[index - 1]?.n ?? 0);
    return isEarly || isAgain ? [`${gate_id} had reminder ${n} at ${created_at}, opened at ${opened_at}`] : [];
  });
  const isForgotten = reminders.length === 0 && until > excusedUntil(e, time(opened_at) + interval, slack);
  return isForgotten
    ? [...faults, `${gate_id} was open from ${opened_at} to ${until}, and nobody was reminded`]
    : faults;
}
