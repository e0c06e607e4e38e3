import { continueAsNew, isCancellation, patched } from '@temporalio/workflow';
import type { Completed } from './contract/completion.ts';
import type { StepOutline } from './contract/definition.ts';
import type { OrchestrationInput, RunResult } from './contract/inputs.ts';
import type { Outcome, Writes } from './contract/outcome.ts';
import type { TaskState } from './contract/states.ts';
import { completeRun, runToEnd } from './ending.ts';
import { createGuards } from './guards.ts';
import { allBranches, nextLimit, restWhenLong } from './history.ts';
import { collectLoop, computeStep, routeStep } from './model-activities.ts';
import {
  askPerson,
  callForcedTool,
  computed,
  decided,
  doByAgent,
  lastOutput,
  routed,
  type OrchestrationRun,
} from './orchestration-steps.ts';
import { released } from './holds.ts';
import { enter, goOn, leave, noEntries, type LimitedRun } from './iterations.ts';
import { openRun } from './run-context.ts';
import { changeRun, changeTask, record } from './state.ts';
import { idOf, newStepTask, stepFailure } from './step-execution.ts';
import { hearTerms } from './terms.ts';

/** An orchestration, and what it takes to follow its definition. */
type Interpreted = OrchestrationRun & LimitedRun;

/** A line of steps, one after the other, with the state as they see it. `path` tells it from all other lines of the run. */
type Line = { path: string; state: Writes; written: Writes };

/**
 * One orchestration, step by step from its entry. Every execution of a step is a task of the run. A run that is tried
 * again goes the same way once more: steps that are done are not done again, their outcomes are known.
 */
export async function orchestrationRun(input: OrchestrationInput): Promise<RunResult> {
  const run = openOrchestration(input);
  return runToEnd(run, story, (carried) => {
    restartClockAfterWaiting(run);
    return continueAsNew<typeof orchestrationRun>({ ...input, ...nextLimit(run), carried, spent: run.guards.spent() });
  });
}

/** A run that continues as new, or is tried again, tells it from its beginning. */
async function story(run: Interpreted): Promise<Completed> {
  const { attempt, input } = run;
  changeRun(run, { phase: 'execute', shared_state: input.shared_state });
  record(run, 'run.started', attempt > 1 ? { phase: 'execute', attempt } : { phase: 'execute' });
  await follow(run, input.definition.entry_step_id, { path: '', state: { ...input.shared_state }, written: {} });
  return completeRun(run, lastOutput(run));
}

/** Runs step after step, until none follows, or `join` does. */
async function follow(run: Interpreted, first: string, line: Line, join: string | null = null): Promise<void> {
  const { steps } = run;
  const entries = noEntries();
  for (let id: string | null = first, n = 1; id !== null && id !== join; n += 1) {
    const step: StepOutline = steps.get(id)!;
    const path = `${line.path}${n}`;
    enter(entries, step);
    const { next } = await execute(run, step, line, path);
    leave(run, entries, step, path);
    id = goOn(run, entries, next, { from: path, to: `${line.path}${n + 1}` });
  }
}

/** Runs one step as a task, unless it is done, and applies what it writes to its line. */
async function execute(run: Interpreted, step: StepOutline, line: Line, path: string): Promise<Outcome> {
  const edits = run.input.rerun_from?.edits[path];
  if (edits) write(run, line, edits);
  const before = run.done.get(path)?.step;
  const outcome = before
    ? { writes: before.writes, output_id: null, next: before.next }
    : await executeAnew(run, step, line, path);
  write(run, line, outcome.writes);
  return outcome;
}

function write(run: Interpreted, line: Line, writes: Writes): void {
  Object.assign(line.state, writes);
  Object.assign(line.written, writes);
  if (line.path === '') changeRun(run, { shared_state: { ...line.state } });
}

async function executeAnew(run: Interpreted, step: StepOutline, line: Line, path: string): Promise<Outcome> {
  if (run.projection.isHeld && !begunTask(run, path)) await released(run);
  const task = begunTask(run, path) ?? beginTask(run, step, path);
  const names = { task_id: task.id, step_id: step.id, step_name: step.name, step_type: step.type };
  record(run, 'task.started', names);
  try {
    const outcome = await perform(run, step, task, line);
    const { writes, next } = outcome;
    const output_id = outcome.output_id ?? task.output_id;
    changeTask(run, task, { status: 'completed', output_id, step: { ...task.step!, writes, next } });
    record(run, 'task.completed', { ...names, output_id });
    return outcome;
  } catch (error) {
    if (isCancellation(error)) throw error;
    const failure = stepFailure(step, error);
    changeTask(run, task, { status: 'failed', error: failure.message });
    record(run, 'task.failed', { ...names, error: failure.message });
    throw failure;
  }
}

/** The task of an execution that was begun before the run continued as new. */
function begunTask({ state }: Interpreted, path: string): TaskState | undefined {
  return state.tasks.find(
    ({ status, step }) => step?.path === path && (status === 'running' || status === 'waiting_human'),
  );
}

function beginTask(run: Interpreted, step: StepOutline, path: string): TaskState {
  restWhenLong(run);
  restartClockAfterWaiting(run);
  run.guards.check();
  const task = newStepTask(step, path, run.state.tasks);
  run.state.tasks.push(task);
  changeTask(run, task, { status: 'running', attempts: 1 });
  return task;
}

/** What people and suspensions have taken does not count. */
function restartClockAfterWaiting({ guards, projection: { waitedUntil } }: Interpreted): void {
  if (guards.runsSinceBefore(waitedUntil) && patched('people-stop-the-clock')) guards.restartClock(waitedUntil);
}

async function perform(run: Interpreted, step: StepOutline, task: TaskState, line: Line): Promise<Outcome> {
  const { state } = line;
  switch (step.type) {
    case 'agent':
    case 'llm':
      return doByAgent(run, step, task, state);
    case 'tool':
      return callForcedTool(run, step, task, state);
    case 'evaluator':
      return routed(run, step, task, await routeStep(run, step, task, state));
    case 'parallel':
      return runBranches(run, step, task, line);
    case 'loop':
      return repeat(run, step, task, line);
    case 'human':
      return askPerson(run, step, task, state);
    case 'merge':
    case 'transform':
    case 'extract_json':
    case 'print':
      return computed(run, step, await computeStep(run, step, task, state));
    case 'if_else':
    case 'switch':
      return decided(run, step, task, await computeStep(run, step, task, state));
    case 'end':
      return { writes: {}, output_id: null, next: null };
  }
}

/** All branches at once, each with the state as it is here; what they write is merged in their order. */
async function runBranches(
  run: Interpreted,
  step: StepOutline & { type: 'parallel' },
  task: TaskState,
  line: Line,
): Promise<Outcome> {
  const { parallel_branches: branches, next_step_id } = step;
  const about = { task_id: task.id, step_id: step.id, branch_count: branches.length };
  const lines = branches.map((_, index): Line => {
    return { path: `${task.step!.path}.${index}/`, state: { ...line.state }, written: {} };
  });
  record(run, 'step.parallel_start', about);
  await allBranches(
    branches.map(async (branch, index) => {
      const own = lines[index]!;
      record(run, 'step.branch_start', { ...about, branch_index: index, n: index });
      if (branch.length === 1) return follow(run, branch[0]!, own, next_step_id);
      for (const [n, id] of branch.entries()) await execute(run, run.steps.get(id)!, own, `${own.path}${n + 1}`);
    }),
  );
  record(run, 'step.parallel_complete', about);
  return { writes: Object.assign({}, ...lines.map(({ written }) => written)), output_id: null, next: next_step_id };
}

/** The body, again and again; then each of its outputs is the list of what it was each time. */
async function repeat(
  run: Interpreted,
  step: StepOutline & { type: 'loop' },
  task: TaskState,
  line: Line,
): Promise<Outcome> {
  const about = { task_id: task.id, step_id: step.id };
  const { loop_count: total } = step;
  const inner: Line = { path: '', state: { ...line.state }, written: {} };
  const iterations: Writes[] = [];
  for (let iteration = 1; iteration <= total; iteration += 1) {
    record(run, 'step.loop_iteration', { ...about, iteration, total, n: iteration });
    inner.path = `${task.step!.path}.${iteration}/`;
    const results: Writes = {};
    for (const [n, id] of step.loop_step_ids.entries()) {
      const body = run.steps.get(id)!;
      const { writes } = await execute(run, body, inner, `${inner.path}${n + 1}`);
      if (body.output_key && writes[body.output_key]) results[id] = writes[body.output_key]!;
    }
    iterations.push(results);
  }
  record(run, 'step.loop_complete', { ...about, iterations_completed: total });
  const { writes, output } = await collectLoop(run, step, task, iterations);
  return { writes: { ...inner.written, ...writes }, output_id: idOf(output), next: step.next_step_id };
}

function openOrchestration(input: OrchestrationInput): Interpreted {
  const { definition, definition_hash } = input;
  const run = openRun(input);
  hearTerms(run);
  const guards = createGuards(definition, input.spent);
  const steps = new Map(definition.steps.map((step) => [step.id, step]));
  const done = run.state.tasks.flatMap((task) => (isDone(task) ? ([[task.step!.path, task]] as const) : []));
  const went = new Map(Object.entries(input.rerun_from?.steps ?? {}));
  for (const { step } of run.state.tasks) if (step) went.set(step.path, step.step_id);
  return Object.assign(run, { input, definition_hash, guards, steps, done: new Map(done), went });
}

function isDone({ status, step }: TaskState): boolean {
  return status === 'completed' && step !== undefined;
}
