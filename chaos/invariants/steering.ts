import { isDeepStrictEqual } from 'node:util';
import type { Evidence } from '../evidence.ts';
import type { Entry } from '../journal.ts';
import { attemptOf, isGiven, isPlanned, renewalsOf, steeringsOf, touchesOf, type Steering } from '../steerings.ts';
import { excusedUntil } from '../windows.ts';
import { boundsOf, grace_ms } from './held.ts';
import { hasEnded } from '../../workflows/contract/states.ts';
import { entries, time, type Invariant, type Run } from './runs.ts';

/** What must hold of runs whose course people have changed. */

type Task = Evidence['tasks'][number];

/**
 * 27. What is corrected stands in the end, unless it is changed again; what stood before it is in the audit, which has every
 * event, and every text of them whole.
 */
export const correctionsStand: Invariant = (e) => {
  const faults: string[] = [];
  for (const { run_id, task_id, action, note, text, replaced, outcome } of entries(e, 'steer')) {
    if (action !== 'correct' || outcome !== 'ok') continue;
    const said = e.audits.get(run_id)?.events.flatMap(({ texts }) => Object.values(texts)) ?? [];
    if (!said.includes(text!)) faults.push(`${note} is not in the audit`);
    if (replaced && !said.includes(replaced)) faults.push(`${note} replaced ${show(replaced)}, which the audit lacks`);
    const run = runOf(e, run_id);
    const last = touchesOf(e, run_id, task_id).at(-1);
    if (run.status !== 'completed' || last?.note !== note) continue;
    const task = taskOf(e, run_id, task_id);
    const stands = e.texts.get(task.output_id ?? '');
    if (stands !== text) faults.push(`${run_id} ${task_id} was corrected to ${text}, and ${show(stands)} stands`);
  }
  for (const [run_id, audit] of e.audits) {
    const run = e.runs.find((row) => row.run_id === run_id);
    if (!run) continue;
    const stored = e.events.filter((event) => event.run_id === run_id);
    const isWhole = audit?.events.every(({ seq, type }, index) => seq === index + 1 && type === stored[index]?.type);
    if (!isWhole || audit!.events.length !== run.event_seq)
      faults.push(`the audit of ${run_id} has ${audit?.events.map(({ seq }) => seq).join()} of ${run.event_seq}`);
  }
  return [...faults, ...finalFaults(e)];
};

/** The final output is made of the outputs that stand in the end. */
function finalFaults(e: Evidence): string[] {
  return e.runs.flatMap(({ run_id, status, kind, final_output_id }) => {
    if (status !== 'completed' || kind !== 'goal') return [];
    const asked = e.calls.filter(({ call_id }) => call_id === final_output_id);
    const done = e.tasks.filter((task) => task.run_id === run_id && isPlanned(task) && task.status === 'completed');
    return done.flatMap(({ id, output_id }) => {
      const text = e.texts.get(output_id ?? '')?.slice(0, 200) ?? '';
      const isTold = asked.every(({ prompt }) => prompt.includes(text));
      return isTold ? [] : [`the final output of ${run_id} was made without ${id}: ${show(text)}`];
    });
  });
}

/**
 * 28. What is sent back is done again, with what was said of it, and so is all that builds on it; what stands beside it is not,
 * and nothing is done that is done, or left out.
 */
export const whatStandsBesideStays: Invariant = (e) => {
  const faults: string[] = [];
  for (const run of e.runs.filter(({ orchestration_id }) => orchestration_id === null)) {
    for (const task of e.tasks.filter((row) => row.run_id === run.run_id && isPlanned(row))) {
      faults.push(...doneAgain(e, run, task), ...doneTooOften(e, run, task), ...givenUp(e, run, task));
    }
  }
  return faults;
};

/** What the last of those that change a task has asked for. */
function doneAgain(e: Evidence, { run_id, status }: Run, task: Task): string[] {
  const last = touchesOf(e, run_id, task.id).at(-1);
  if (status !== 'completed' || task.status !== 'completed' || isGiven(task)) return [];
  const is = `${run_id} ${task.id} is done again by ${last?.note}`;
  const isTarget = last?.task_id === task.id;
  if (!last || (isTarget ? last.action !== 'retry' : last.action !== 'retry' && last.action !== 'correct')) return [];
  if (task.kind === 'human') {
    const gates = e.gates.filter((gate) => gate.run_id === run_id && gate.task_id === task.id);
    const asked = gates.filter(({ answered_at }) => answered_at !== null && time(answered_at) > last.at);
    if (asked.length === 0) return [`${is}, and nobody was asked`];
    const isTold = !isTarget || last.text === undefined || asked.some(({ reason }) => reason?.includes(last.text!));
    return isTold ? [] : [`${is}, and nobody was told why`];
  }
  const calls = executionsOf(e, run_id, task.id).filter(({ received_at }) => received_at > last.at);
  if (calls.length === 0) return [`${is}, and was not`];
  const isTold = !isTarget || last.text === undefined || calls.some(({ prompt }) => prompt.includes(last.text!));
  return isTold ? [] : [`${is}, and its model was not told ${show(last.text)}`];
}

/** Calls of an attempt that was given up for another one. */
function givenUp(e: Evidence, { run_id }: Run, { id }: Task): string[] {
  const calls = executionsOf(e, run_id, id).toSorted((a, b) => a.received_at - b.received_at);
  return calls.flatMap(({ call_id, received_at }) => {
    const later = calls.find((other) => attemptOf(other.call_id) > attemptOf(call_id));
    const until = later ? excusedUntil(e, later.received_at, grace_ms) : Number.POSITIVE_INFINITY;
    return received_at > until ? [`${call_id} was asked at ${received_at}, ${later!.call_id} before it`] : [];
  });
}

/** Calls for a task that is done, or that is left out. */
function doneTooOften(e: Evidence, { run_id }: Run, { id, status, completed_at }: Task): string[] {
  if (completed_at === null || !hasEnded(status)) return [];
  const until = excusedUntil(e, time(completed_at), grace_ms);
  return executionsOf(e, run_id, id)
    .filter(({ received_at }) => received_at > until)
    .map(
      ({ call_id, received_at }) => `${call_id} was asked at ${received_at}; ${id} was ${status} at ${completed_at}`,
    );
}

const executionsOf = ({ calls }: Evidence, run_id: string, task_id: string) =>
  calls.filter((call) => call.run_id === run_id && call.task_id === task_id && call.purpose === 'execute');

/** A request that steers, with all its tries. */
type Request = { run_id: string; note: string; tries: Entry[] };

function requestsOf(e: Evidence): Request[] {
  const steering = [...entries(e, 'steer'), ...entries(e, 'complete')].filter(
    (entry) => entry.op === 'steer' || entry.send_back_to !== undefined,
  );
  const byNote = Map.groupBy(steering, ({ note }) => note!);
  return [...byNote].map(([note, tries]) => ({ run_id: tries[0]!.run_id, note, tries }));
}

/**
 * 29. What was asked of a task and acknowledged is done once, what was refused, and what nobody asked for, not at all: it is in
 * the events, counts one round of each task that it renews, and leaves the task as it says. Labels and limits are those that were
 * acknowledged last.
 */
export const steeringsCountOnce: Invariant = (e) => {
  const faults: string[] = [];
  for (const { run_id, note, tries } of requestsOf(e)) {
    const taken = steeringsOf(e, run_id).filter((steering) => steering.note === note);
    const [least, most] = boundsOf(tries);
    if (taken.length < least || taken.length > most) faults.push(`${note} was accepted ${taken.length} times`);
  }
  const known = new Set(e.journal.map((entry) => ('note' in entry ? entry.note : undefined)));
  for (const { run_id, type, data } of e.events.filter((event) => isCourse(event.type))) {
    if (!known.has(data.note as string))
      faults.push(`${run_id} had ${type} ${String(data.note)}, which nobody asked for`);
  }
  for (const run of e.runs) {
    const taken = steeringsOf(e, run.run_id);
    if (taken.some(({ n }, index) => n !== index + 1) || taken.length !== run.steered)
      faults.push(`${run.run_id} was steered ${run.steered} times: ${taken.map(({ n }) => n).join()}`);
    for (const task of e.tasks.filter((row) => row.run_id === run.run_id && isPlanned(row))) {
      faults.push(...roundFaults(e, run, task, taken), ...leftOutFaults(e, run, task));
    }
  }
  return [...faults, ...changeFaults(e)];
};

const isCourse = (type: string) =>
  /^run\.(held|released|changed)$/.test(type) || /^task\.(retried|corrected|skipped|cancelled)$/.test(type);

/** What was left out stays so when what is before it is done again, which depends on what its workflow was at. */
function roundFaults(e: Evidence, { run_id, status }: Run, { id, round }: Task, taken: Steering[]): string[] {
  const most = renewalsOf(e, run_id, id).length;
  const mayBeLeftOut = taken.some(({ action }) => action === 'skip' || action === 'cancel');
  const least = status === 'completed' && !mayBeLeftOut ? most : 0;
  return round < least || round > most ? [`${run_id} ${id} is in round ${round}, of ${least} to ${most}`] : [];
}

function leftOutFaults(e: Evidence, { run_id, status, warnings }: Run, task: Task): string[] {
  const last = touchesOf(e, run_id, task.id).at(-1);
  if (status !== 'completed') return [];
  const is = `${run_id} ${task.id} is ${task.status} after ${last?.note}`;
  if (last?.action === 'skip') {
    const isTooLate = warnings.some((warning) => warning.startsWith(`${task.id} was `));
    const stands = e.texts.get(task.output_id ?? '');
    const isSo = last.text ? task.status === 'completed' && stands === last.text : task.status === 'skipped';
    return isSo || isTooLate ? [] : [`${is}, with ${show(stands)}`];
  }
  // What had ended by then stays.
  if (last?.action === 'cancel') return ['cancelled', 'completed', 'skipped'].includes(task.status) ? [] : [is];
  const isLeftOut = touchesOf(e, run_id, task.id).some(({ action }) => action === 'skip' || action === 'cancel');
  return task.status === 'completed' || isLeftOut ? [] : [`${is}, and nobody left it out`];
}

function changeFaults(e: Evidence): string[] {
  const faults: string[] = [];
  for (const [run_id, tries] of Map.groupBy(entries(e, 'change'), (entry) => entry.run_id)) {
    const run = runOf(e, run_id);
    const told = (note: string) =>
      e.events.filter((event) => event.run_id === run_id && event.data.note === note).length;
    for (const { note, outcome } of tries) {
      if (outcome === 'ok' && told(note) === 0) faults.push(`${note} was acknowledged, and is not told`);
      const isRefused = tries.every((one) => one.note !== note || one.outcome === 'fail');
      if (isRefused && told(note) > 0) faults.push(`${note} was refused, and done`);
    }
    for (const name of ['metadata', 'tags', 'max_tokens'] as const) {
      // The first try of one may be done after another one, by an API that was frozen meanwhile.
      const changed = e.events.filter(
        ({ run_id: of, type, data }) =>
          of === run_id && type === 'run.changed' && (data.changed as string[]).includes(name),
      );
      const last = changed.at(-1)?.data.note;
      if (!last) continue;
      const given = tries.find(({ note }) => note === last)!.change[name];
      if (!isDeepStrictEqual(run[name], given))
        faults.push(`${run_id} has ${name} ${JSON.stringify(run[name])}, and ${JSON.stringify(given)} was given last`);
    }
  }
  return faults;
}

/** 30. A run that is completed has heard of all that was accepted for it, whatever was lost on the way. */
export const completedRunsHaveHeard: Invariant = (e) =>
  e.runs.flatMap(({ run_id, status, steered }) => {
    if (status !== 'completed') return [];
    const workflow = e.workflows.find(({ workflow_id }) => workflow_id === run_id);
    const heard = new Set(workflow?.steerings);
    const isAll = heard.size === steered && [...heard].every((n) => n >= 1 && n <= steered);
    return isAll ? [] : [`${run_id} is completed, steered ${steered} times, and has heard of ${[...heard].join()}`];
  });

const runOf = ({ runs }: Evidence, run_id: string) => runs.find((row) => row.run_id === run_id)!;
const taskOf = ({ tasks }: Evidence, run_id: string, id: string) =>
  tasks.find((row) => row.run_id === run_id && row.id === id)!;
const show = (text: string | undefined) => JSON.stringify(text?.slice(0, 80));
