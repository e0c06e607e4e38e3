import type { Evidence } from '../evidence.ts';
import type { Entry } from '../journal.ts';
import { attemptOf, isGiven, steeringsOf, touchesOf } from '../steerings.ts';
import { ancestors, topologicalOrder } from '../../workflows/contract/graph.ts';

/** What must hold after any run of chaos: each function returns the violations, with their evidence. */
export type Invariant = (evidence: Evidence) => string[];

export type Run = Evidence['runs'][number];
type Of<O extends Entry['op']> = Extract<Entry, { op: O }>;
export function entries<O extends Entry['op']>({ journal }: Evidence, op: O): Of<O>[] {
  return journal.filter((entry): entry is Of<O> => entry.op === op);
}

export const runOf = (e: Evidence, run_id: string) => e.runs.find((run) => run.run_id === run_id)!;

/** Whether what makes the output of a run is code. */
export const isCode = ({ agent_run }: Pick<Run, 'agent_run'>) => Boolean(agent_run?.code);

export const isEnded = (status: string) => ['completed', 'failed', 'cancelled'].includes(status);
export const time = (timestamp: string) => new Date(timestamp).getTime();

/** 1. Every start is taken, and is one row, one workflow and one entry of the list; no key started two. */
export const startsAreKept: Invariant = (e) => {
  const faults: string[] = [];
  const tries = Map.groupBy(entries(e, 'start'), ({ run }) => run);
  for (const [run, all] of tries) {
    const { key, rerun } = all[0]!;
    const isIts = rerun
      ? ({ forked_from }: Run) => forked_from === rerun.source.run_id
      : ({ task, forked_from }: Run) => task.startsWith(`[run:${run}]`) && forked_from === null;
    const rows = e.runs.filter(isIts).map(({ run_id }) => run_id);
    const most = key ? 1 : all.filter(({ outcome }) => outcome !== 'fail').length;
    if (rows.length > most) faults.push(`${run} was started ${rows.length} times: ${rows.join()}`);
    for (const { outcome, status, body } of all) {
      if (outcome === 'ok' && !rows.includes(body.run_id))
        faults.push(`${run}: ${body.run_id} was acknowledged and is gone`);
      // One can do again only what comes after what is done; and a key may be busy.
      if (outcome === 'fail' && status !== 409) faults.push(`${run} was refused: ${JSON.stringify(body)}`);
    }
  }
  const inVain = new Set(e.runs.filter((run) => !hasBegun(e, run)).map(({ run_id }) => run_id));
  const workflows = e.workflows.filter(({ type }) => type.endsWith('Run')).map(({ workflow_id }) => workflow_id);
  const listed = e.lists.flatMap((ids) => ids ?? ['a list that could not be read']);
  const ids = new Set([...e.runs.map(({ run_id }) => run_id), ...workflows, ...listed]);
  for (const id of ids) {
    const counts = [e.runs.map(({ run_id }) => run_id), workflows, listed].map(
      (all) => all.filter((x) => x === id).length,
    );
    const due = [1, inVain.has(id) ? 0 : 1, 1];
    if (counts.some((count, index) => count !== due[index]))
      faults.push(`${id}: ${counts.join('/')} rows/workflows/list entries`);
  }
  return faults;
};

/** How often a run has begun: once, and once more each time that it failed and was tried again. */
export const timesBegun = ({ begun }: Evidence, run_id: string) => begun.filter((row) => row.run_id === run_id).length;
const hasBegun = (e: Evidence, { run_id }: Run) => timesBegun(e, run_id) > 0;
/** It was cancelled while it waited for its time or its place: Temporal knows nothing of that. */
export const waitedInVain = (e: Evidence, { run_id, status, attempt }: Run) =>
  status === 'cancelled' && timesBegun(e, run_id) < attempt;

export const statusInTemporal = { completed: 'COMPLETED', failed: 'FAILED', cancelled: 'CANCELLED' } as const;

/** 2. Every run has ended as its workflow has, or waits for a person. It failed only for a good reason. */
export const runsEndOrWait: Invariant = (e) =>
  e.runs.flatMap((run) => {
    const { run_id, status, phase, error, attempt } = run;
    if (waitedInVain(e, run)) return [];
    const workflow = e.workflows.find(({ workflow_id }) => workflow_id === run_id);
    if (!workflow) return [`${run_id} has no workflow`];
    const told = `${run_id} is ${status} (${phase}) and its workflow ${workflow.status} ${workflow.pending}`;
    const retries = entries(e, 'retry').filter((entry) => entry.run_id === run_id);
    const [taken, sent] = [['ok'], ['ok', 'unknown']].map(
      (outcomes) => new Set(retries.filter(({ outcome }) => outcomes.includes(outcome)).map(({ n }) => n)).size,
    );
    if (attempt - 1 < taken! || attempt - 1 > sent!)
      return [`${told}, tried ${attempt} times, of ${taken}-${sent} asked for`];
    if (workflow.attempt !== attempt) return [`${told}, at try ${attempt}, and its workflow at ${workflow.attempt}`];
    if (status === 'waiting_human') {
      const waits = e.gates.some((gate) => gate.run_id === run_id && gate.status === 'open');
      return waits && workflow.status === 'RUNNING' ? [] : [told];
    }
    if (!isEnded(status)) return [told];
    // What an agent has called is cancelled with it, also while it fails by itself.
    const isTooLate = status === 'cancelled' && workflow.status === 'FAILED' && isCalled(e, run_id);
    if (workflow.status !== statusInTemporal[status as keyof typeof statusInTemporal] && !isTooLate) return [told];
    return status === 'failed' && !mayFail(e, run) ? [`${told}, for no good reason: ${error}`] : [];
  });

export const isCalled = ({ called }: Evidence, run_id: string) =>
  called.some((call) => call.run_id === run_id && call.parent_run_id !== null);

/** Planning was refused, nobody answered in time, no more money was granted; for an orchestration, any step may fail, and an agent alone. */
function mayFail(e: Evidence, run: Run): boolean {
  const { run_id, kind, on_timeout, on_budget, human_gates, orchestration_id, error } = run;
  const gates = e.gates.filter((gate) => gate.run_id === run_id);
  const calls = e.calls.filter((call) => call.run_id === run_id && call.fault);
  if (orchestration_id !== null) {
    const isRefused = gates.some(({ kind, decision }) => kind === 'tool_approval' && decision === 'reject');
    const hasFaults = calls.length > 0 || e.orders.some((order) => order.fault && order.call_id.startsWith(run_id));
    return isRefused || hasFaults;
  }
  // Of these more is asked by others.
  const isOfCode = isCode(run) && ['SANDBOX_ERROR', 'SANDBOX_TIMEOUT'].includes(run.error_code ?? '');
  const hasDeadline = e.called.some((call) => call.run_id === run_id && call.deadline_at !== null);
  const isLate = run.error_code === 'TIMEOUT' && hasDeadline;
  if (kind === 'agent') return calls.length > 0 || isOfCode || isLate;
  const mayExpire = [on_timeout, ...human_gates.map((gate) => (typeof gate === 'string' ? '' : gate.on_timeout))];
  return (
    calls.some(({ purpose }) => /split|infer/.test(purpose)) ||
    gates.some(({ kind, decision }) => kind === 'budget' && decision === 'reject') ||
    (on_budget === 'fail' && /limit exceeded/.test(error ?? '')) ||
    (mayExpire.includes('reject') && gates.some(({ status }) => status === 'expired'))
  );
}

/** 3. An acknowledged answer stands, once, byte for byte, and its text is in every prompt after it; a refused one nowhere. */
export const answersCountOnce: Invariant = (e) => {
  const faults: string[] = [];
  for (const [gate_id, all] of Map.groupBy(entries(e, 'complete'), (entry) => entry.gate_id)) {
    const gate = e.gates.find((row) => row.gate_id === gate_id);
    const given = ({ decision, output = '', send_back_to = '', key = '' }: Of<'complete'>) =>
      `${decision} ${output} ${send_back_to} ${key}`;
    const acked = new Set(all.filter(({ outcome }) => outcome === 'ok').map(given));
    if (acked.size > 1) faults.push(`${gate_id}: ${acked.size} answers were acknowledged: ${[...acked].join(', ')}`);
    const stands = gate?.answer_id ? e.texts.get(gate.answer_id) : undefined;
    for (const [said, tries] of Map.groupBy(all, given)) {
      const { decision, output } = tries[0]!;
      const isStanding = gate?.decision === decision && stands === output;
      if (acked.has(said) && !isStanding)
        faults.push(`${gate_id}: acknowledged ${said}, but ${gate?.decision} ${stands} stands`);
      // Who was not asked may have said what was taken from another key.
      const refused = all.every((one) => one.outcome === 'fail' || one.output !== output);
      if (refused && output !== undefined && stands === output)
        faults.push(`${gate_id}: refused ${said}, and it stands`);
    }
    const told = e.events.filter(({ type, data }) => type === 'gate.answered' && data.gate_id === gate_id).length;
    if (told !== (gate?.status === 'answered' ? 1 : 0))
      faults.push(`${gate_id} is ${gate?.status}, with ${told} events`);
  }
  return faults;
};

/** 5. The plan is a graph, the one in the history; no task began before all before it were done, and each saw them. */
export const orderIsKept: Invariant = (e) => {
  const faults: string[] = [];
  for (const run of e.runs) {
    const { run_id, status, phase, plan, attempt } = run;
    const tasks = e.tasks.filter((task) => task.run_id === run_id);
    // It was cancelled while its graph was inferred: the activity has shown the tasks, and never told its workflow.
    const isHalfPlanned = status === 'cancelled' && phase === 'infer_deps';
    if (!topologicalOrder(tasks)) faults.push(`${run_id}: the dependencies form a cycle`);
    const history = e.workflows.find(({ workflow_id }) => workflow_id === run_id)?.text ?? '';
    for (const { id, title } of tasks.filter((task) => !isTakenOver(task))) {
      if (!isHalfPlanned && !ownTitles.includes(title) && !history.includes(title))
        faults.push(`${run_id} ${id} "${title}" is not in the history`);
    }
    const isSteered = steeringsOf(e, run_id).length > 0;
    for (const task of tasks) {
      const made = e.calls.filter(
        (call) => call.run_id === run_id && call.purpose === 'execute' && call.task_id === task.id,
      );
      const calls = isSteered ? made.filter((call) => stands(task, call)) : made;
      const [first] = calls;
      if (!first) {
        const isDone =
          isCode(run) ||
          wasAnswered(e, run_id, task.id) ||
          isReused(plan, task.id) ||
          isTakenOver(task) ||
          isGiven(task);
        if (task.kind === 'ai' && task.status === 'completed' && !isDone) {
          faults.push(`${run_id} ${task.id} is completed, and nobody did it`);
        }
        continue;
      }
      if (task.kind === 'human') faults.push(`${run_id} ${task.id} is a person's, and a model did it`);
      for (const id of ancestors(tasks, task.id)) {
        const before = tasks.find((other) => other.id === id)!;
        const ended = lastWork(e, run_id, before);
        if (!isDoneWith(e, run_id, before) || ended > first.received_at + 50) {
          faults.push(
            `${run_id} ${task.id} began at ${first.received_at}; ${id} is ${before.status}, worked at ${ended}`,
          );
        }
        const text = e.texts.get(before.output_id ?? '')?.slice(0, 200) ?? '';
        if (!calls.every(({ prompt }) => prompt.includes(text)))
          faults.push(`${run_id} ${task.id} was not told what ${id} said`);
      }
    }
    // Of an orchestration that was tried again, those that had failed stay so.
    if (status === 'completed' && attempt === 1 && tasks.some((task) => !isDoneWith(e, run_id, task))) {
      faults.push(`${run_id} is completed with tasks that are not`);
    }
  }
  return faults;
};

/** Of tasks that no plan has: Orchflow's own questions. */
const ownTitles = ['Decide on the budget', 'Final output'];

type Task = Evidence['tasks'][number];

/** A call of the attempt that its output is of: what is before the task was as it is by now. */
export function stands(task: Task, { call_id }: { call_id: string }): boolean {
  return task.status === 'completed' && !isGiven(task) && attemptOf(call_id) === task.attempts;
}

/** It has its output, or a person has left it out. */
function isDoneWith(e: Evidence, run_id: string, { id, status }: Task): boolean {
  const leftOut = { skipped: 'skip', cancelled: 'cancel' }[status as string];
  return status === 'completed' || touchesOf(e, run_id, id).some(({ action }) => action === leftOut);
}

/** When a model or a person last worked on what stands of the task. */
function lastWork(e: Evidence, run_id: string, task: Task): number {
  const touches = touchesOf(e, run_id, task.id);
  if (isGiven(task) || task.status !== 'completed') return touches.at(-1)?.at ?? 0;
  const of = (row: { run_id: string | null; task_id: string | null }) =>
    row.run_id === run_id && row.task_id === task.id;
  const calls = e.llm_calls
    // The answer of an attempt that was given up may be kept at any time.
    .filter((call) => of(call) && (touches.length === 0 || attemptOf(call.call_id) === task.attempts))
    .map(({ created_at }) => time(created_at));
  return Math.max(0, ...calls, ...e.gates.filter(of).map(({ answered_at }) => time(answered_at ?? '0001')));
}

export function isReused(plan: Run['plan'], task_id: string): boolean {
  return plan?.some(({ id, is_reused }) => id === task_id && is_reused) ?? false;
}

/** A step of an orchestration that stands as the run had it that this one is a rerun of. */
export function isTakenOver({ step, status, started_at }: Task): boolean {
  return step !== null && status === 'completed' && started_at === null;
}

function wasAnswered(e: Evidence, run_id: string, task_id: string): boolean {
  return e.gates.some((gate) => gate.run_id === run_id && gate.task_id === task_id && gate.status === 'answered');
}
