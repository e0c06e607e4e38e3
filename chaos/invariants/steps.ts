import { isDeepStrictEqual } from 'node:util';
import { valueOf } from '../../db/shared-state.ts';
import type { StepMark } from '../../workflows/contract/states.ts';
import type { Evidence } from '../evidence.ts';
import { comesBefore, executionsOf } from '../orchestration.ts';
import { entries, isTakenOver, time, type Invariant } from './runs.ts';

type Task = Evidence['tasks'][number];
/** A step that was done. */
type Done = Task & { step: StepMark };

/** The steps of a run that are done, and how people have answered its reviews, both in the order of their paths. */
export function readSteps(e: Evidence, run_id: string) {
  const tasks = e.tasks.filter((task): task is Done => task.run_id === run_id && task.step !== null);
  const done = tasks.filter(({ status }) => status === 'completed');
  const reviews = done
    .filter(({ step }) => step.step_id === 'review')
    .toSorted((a, b) => Number(a.step.path) - Number(b.step.path))
    .map((task) => (JSON.parse(e.texts.get(task.output_id!)!) as { decision: string }).decision);
  return { done, executions: executionsOf(reviews) };
}

/** 17. The steps of an orchestration go as it says: each of them once, none before those before it were done. */
export const stepsKeepTheirOrder: Invariant = (e) => {
  const faults: string[] = [];
  for (const { run_id, status } of e.runs.filter(({ orchestration_id }) => orchestration_id !== null)) {
    const { done, executions } = readSteps(e, run_id);
    const at = (path: string) => done.find(({ step }) => step.path === path);
    const paths = done.map(({ step }) => step.path);
    if (new Set(paths).size < paths.length) faults.push(`${run_id} did a step twice: ${paths.join()}`);
    faults.push(...askedAgain(e, run_id));
    for (const { id, step } of done) {
      const isMeant = executions.some(({ path, step_id }) => path === step.path && step_id === step.step_id);
      if (!isMeant) faults.push(`${run_id} did ${id} at ${step.path}, which nobody meant`);
    }
    for (const execution of executions) {
      const task = at(execution.path);
      if (!task) {
        if (status === 'completed')
          faults.push(`${run_id} is completed without ${execution.step_id} at ${execution.path}`);
        continue;
      }
      for (const before of executions.filter((one) => comesBefore(one, execution, executions))) {
        const earlier = at(before.path);
        const [first, last] = [firstWork(e, task), earlier ? lastWork(e, earlier) : Infinity];
        if (first < last - 50)
          faults.push(`${run_id} began ${task.id} at ${first}, ${before.step_id} ended at ${last}`);
      }
    }
  }
  return faults;
};

/** Steps that people have answered more than once, however often the run was tried. */
function askedAgain(e: Evidence, run_id: string): string[] {
  const asked = e.tasks.filter((task): task is Done => task.run_id === run_id && task.step?.type === 'human');
  return [...Map.groupBy(asked, ({ step }) => step.path)].flatMap(([path, tries]) => {
    const ids = tries.map(({ id }) => id);
    const answered = e.gates.filter(
      (gate) => gate.run_id === run_id && ids.includes(gate.task_id) && gate.status === 'answered',
    );
    return answered.length > 1 ? [`${run_id} asked ${answered.length} times at ${path}`] : [];
  });
}

/** When a model, a tool, a person or code began with it: never, where it stands as another run had it. */
function firstWork(e: Evidence, task: Task): number {
  if (isTakenOver(task)) return Infinity;
  const { run_id, id, started_at } = task;
  const key = `${run_id}/${id}/`;
  const calls = e.calls.filter((call) => call.call_id.startsWith(key)).map(({ received_at }) => received_at);
  const orders = e.orders.filter(({ call_id }) => call_id.startsWith(key)).map(({ at }) => at);
  return Math.min(time(started_at!), ...calls, ...orders);
}

/** When the last of them had done. */
function lastWork(e: Evidence, { run_id, id }: Task): number {
  const calls = e.llm_calls.filter((call) => call.run_id === run_id && call.task_id === id);
  const tools = e.tool_calls.filter(({ call_id }) => call_id.startsWith(`${run_id}/${id}/`));
  const gates = e.gates.filter((gate) => gate.run_id === run_id && gate.task_id === id && gate.answered_at);
  const ends = [...calls, ...tools].map(({ created_at }) => time(created_at));
  return Math.max(0, ...ends, ...gates.map(({ answered_at }) => time(answered_at!)));
}

/** 18. The state is what steps and edits gave: models, tools, people and code, each under its key; the last to write it stands. */
export const stateIsWhatWasGiven: Invariant = (e) => {
  const faults: string[] = [];
  for (const run of e.runs.filter(({ orchestration_id }) => orchestration_id !== null)) {
    const { done, executions } = readSteps(e, run.run_id);
    const state = new Map<string, unknown>();
    let counted = 0;
    let drafts: unknown[] = [];
    const edited = editsOf(e, run);
    for (const { path, step_id } of executions) {
      if (path === edited?.path) for (const [key, value] of Object.entries(edited.edits)) state.set(key, value);
      const task = done.find(({ step }) => step.path === path);
      if (!task) break;
      if (step_id === 'count') counted += 1;
      if (step_id === 'polish') drafts = [];
      const given = givenBy(e, task, state, counted);
      const { output_key, writes } = task.step;
      if (output_key === null || step_id === 'polish') continue;
      const kept = writes[output_key] && valueOf(writes[output_key], e.texts);
      if (!isDeepStrictEqual(kept, given)) {
        faults.push(`${run.run_id} ${task.id} gave ${show(given)}, and ${output_key} was ${show(kept)}`);
      }
      state.set(output_key, kept);
      if (step_id === 'draft') drafts.push(kept);
    }
    if (run.status !== 'completed') continue;
    // After the loop, what its body wrote is the list of what it was each time.
    const rounds = drafts.map((_, index) => ({
      iteration: index + 1,
      agent: 'count',
      result: counted - drafts.length + index + 1,
    }));
    state.set('rounds', rounds);
    state.set(
      'draft',
      drafts.map((result, index) => ({ iteration: index + 1, agent: 'draft', result })),
    );
    for (const [key, value] of state) {
      const stands = run.shared_state?.[key] && valueOf(run.shared_state[key], e.texts);
      if (!isDeepStrictEqual(stands, value))
        faults.push(`${run.run_id} has ${key} ${show(stands)}, not ${show(value)}`);
    }
  }
  return faults;
};

/** What a rerun was given in place of what was there, and at which step. */
function editsOf(e: Evidence, { run_id, forked_from }: Evidence['runs'][number]) {
  const asked = entries(e, 'start').find(({ rerun, body }) => rerun && body?.run_id === run_id)?.rerun;
  const first = e.tasks.find((task) => task.run_id === forked_from && task.id === asked?.from_task);
  return asked && { path: first?.step?.path, edits: asked.edits };
}

/** What a step must have written, from what it was given outside: no word of it is taken from the state itself. */
function givenBy(e: Evidence, task: Done, state: Map<string, unknown>, counted: number): unknown {
  const { run_id, id, step } = task;
  if (isTakenOver(task)) {
    const { forked_from } = e.runs.find((run) => run.run_id === run_id)!;
    const was = e.tasks.filter((other) => other.run_id === forked_from && other.step?.path === step.path);
    const ref = was.map((other) => other.step!.writes[step.output_key ?? '']).find(Boolean);
    return ref && valueOf(ref, e.texts);
  }
  const ofTask = <R extends { call_id: string; created_at: string }>(rows: R[]) =>
    rows
      .filter(({ call_id }) => call_id.startsWith(`${run_id}/${id}/`))
      .toSorted((a, b) => time(a.created_at) - time(b.created_at))
      .at(-1)?.call_id ?? '';
  switch (step.step_id) {
    case 'gather':
    case 'left':
    case 'draft':
      return e.texts.get(ofTask(e.llm_calls));
    case 'order':
    case 'publish':
      return e.texts.get(ofTask(e.tool_calls));
    case 'ask':
    case 'review': {
      const tries = e.tasks
        .filter((task) => task.run_id === run_id && task.step?.path === step.path)
        .map((task) => task.id);
      const gate = e.gates.find(
        (row) => row.run_id === run_id && tries.includes(row.task_id) && row.status === 'answered',
      );
      return gate && JSON.parse(e.texts.get(gate.gate_id)!);
    }
    case 'join':
      return ['ask', 'order', 'left'].map((key) => `[${key} (${key})]:\n${textOf(state.get(key))}`).join('\n\n');
    case 'count':
      return counted;
    case 'close':
      return { rounds: counted, receipt: state.get('receipt'), facts: state.get('facts') };
    default:
      return undefined;
  }
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));
const show = (value: unknown) => JSON.stringify(value)?.slice(0, 200);
