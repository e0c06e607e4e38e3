import { ActivityFailure, isCancellation, proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import { timeNow } from './clock.ts';
import { callCodeTool } from './code-activities.ts';
import { mayComplete } from './contract/completion.ts';
import { codeTool, type StepOutline } from './contract/definition.ts';
import type { ValueRef } from './contract/shared-state.ts';
import type { Progress, Refused, StepLoop, TaskState, ToolRequest } from './contract/states.ts';
import { makeCall } from './model-calls.ts';
import { endedInPostgres } from './projection.ts';
import { isStillCalled, runWithProgress, wasPutOff, type Ride } from './rides.ts';
import type { RunContext } from './run-context.ts';
import { warn } from './state.ts';

/**
 * The steps of a run that are activities, each by its name. The Temporal Web UI shows their summaries; the progress so far
 * rides along with each. Those that call models are held up by the run's budget (`model-calls.ts`).
 */

const activities = proxyActivities<Activities>({
  // The activity bounds each call itself; a lost worker is noticed by its missing heartbeats.
  startToCloseTimeout: '1 hour',
  heartbeatTimeout: '6s',
  // About a day of failures. Not a time: a server that was switched off over a weekend has lost none of its runs.
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s', maximumAttempts: 2_880 },
  cancellationType: 'TRY_CANCEL',
});

/** What one turn of an agent came to. Without `calls` it has no tools; with some, it goes on when they are made. */
export type Turn = Awaited<ReturnType<Activities['callStep']>>;

type Material = Pick<Parameters<Activities['executeTask']>[0], 'inputs' | 'feedback_id' | 'previous_output_id'>;
type FinalMaterial = Pick<Parameters<Activities['finalizeRun']>[0], 'attempt' | 'outputs'>;

/** The second call of an activity was refused for good, when the first was answered. */
class CallRefused extends Error {}

/**
 * What the second call of an activity came to; undefined when it is to be made by an activity of its own.
 * @throws what `refusal` reads, when it was refused for good.
 */
export function accepted<T extends object>(result: T | Refused | undefined): T | undefined {
  if (result && 'refused' in result) throw new CallRefused(result.refused);
  return result;
}

/** Why a call was given up, in a sentence. What is no failure of it, and faults of our own code, go on upwards. */
export function refusal(error: unknown): string {
  if (error instanceof CallRefused) return error.message;
  if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
  return error.cause?.message ?? error.message;
}

/** Plans the tasks of a goal, and what each needs of the others. */
export function splitTasks(run: RunContext) {
  const { run_id } = run.state;
  return makeCall(run, (progress) =>
    activities.splitTasks.executeWithOptions({ summary: 'Plan the tasks' }, [{ run_id, progress }]),
  );
}

/** Infers the graph where `splitTasks` has left that to an activity of its own. */
export function inferDependencies(run: RunContext, tasks: Parameters<Activities['inferDeps']>[0]['tasks']) {
  const { run_id } = run.state;
  const summary = `Infer the dependencies of ${tasks.length} tasks`;
  return makeCall(run, (progress) =>
    activities.inferDeps.executeWithOptions({ summary }, [{ run_id, tasks, progress }]),
  );
}

/** One turn of a task's agent, and the evaluation of what it answers; without tools it is the only one. */
export function executeTask(run: RunContext, task: TaskState, material: Material, turn: number) {
  const label = labelOf(task);
  const summary = turn > 1 ? `${label}, turn ${turn}` : label;
  return makeCall(run, (progress) =>
    activities.executeTask.executeWithOptions({ summary }, [{ ...attemptOf(run, task), ...material, turn, progress }]),
  );
}

/** Judges an output where `executeTask` has left that to an activity of its own. */
export function evaluateTask(run: RunContext, task: TaskState, output_id: string) {
  return makeCall(run, (progress) =>
    activities.evaluateTask.executeWithOptions({ summary: `Evaluate ${labelOf(task)}` }, [
      { ...attemptOf(run, task), output_id, progress },
    ]),
  );
}

/** Writes the final output, and where it may completes the run with it. Says why not when the model refuses for good. */
export async function writeFinalOutput(
  run: RunContext,
  { attempt, outputs }: FinalMaterial,
): Promise<{ output_id: string } | { reason: string }> {
  const { run_id } = run.state;
  const completes = mayComplete(attempt, run.attempt);
  const summary = `Write the final output${attempt > 1 ? `, attempt ${attempt}` : ''}`;
  try {
    const { output_id, warnings, status } = await makeCall(
      run,
      (progress) =>
        activities.finalizeRun.executeWithOptions({ summary }, [{ run_id, attempt, outputs, completes, progress }]),
      { endsRun: completes },
    );
    if (status) endedInPostgres(run, status);
    warn(run, ...warnings);
    return { output_id };
  } catch (error) {
    return { reason: refusal(error) };
  }
}

/** A call of a tool, as a person has ruled on it where one was asked. */
export async function callTool(
  run: RunContext,
  task: TaskState,
  { answer_id, position, tool }: Pick<ToolRequest, 'answer_id' | 'position' | 'tool'>,
  ruling: { gate_id?: string; edited_id?: string | null; refused_id?: string | null },
) {
  const { run_id } = run.state;
  const label = task.agent ? `${task.id} ${task.agent}` : task.id;
  const summary = `${label}: ${tool}`;
  const done = tool === codeTool && (await callCodeTool(run, { answer_id, position }, { summary, ruling }));
  if (done) return done;
  for (;;) {
    try {
      // Of a tool that needs the sandbox it says that there is none.
      return await runWithProgress(run, (progress) =>
        activities.callTool.executeWithOptions({ summary }, [{ run_id, answer_id, position, ...ruling, progress }]),
      );
    } catch (error) {
      // An agent that was called has a deadline of its own, or waits for people, who have all the time.
      if (!isStillCalled(error)) throw error;
    }
  }
}

/** Waits until there is a worker with a sandbox. Throws when there is none, as far as is known. */
export async function waitForSandbox(run: RunContext): Promise<void> {
  const { run_id } = run.state;
  await activities.waitForSandbox.executeWithOptions({ summary: 'Wait for a sandbox' }, [{ run_id }]);
}

/** A run that follows a definition, which the activities find by its hash. */
type DefinedRun = RunContext & { readonly definition_hash: string };
type StateRefs = Record<string, ValueRef>;

/** All of these states goes along. */
function rideOf(...states: StateRefs[]): Ride {
  return { keys: states.reduce((sum, state) => sum + Object.keys(state).length, 0) };
}

type TurnOptions = { summary: string; scheduleToCloseTimeout: number };

/** Behind a deadline, which has words of its own, in milliseconds. */
const deadlineSlack = 1_000;

/**
 * One turn of a model within these seconds, which bound its turns together; people and tools have their own time. It is not tried
 * again after the deadline of its run.
 */
function turnWithin<T>(
  run: RunContext,
  loop: StepLoop,
  {
    seconds,
    deadline_at = Infinity,
    label,
    ride,
  }: { seconds: number; deadline_at?: number | undefined; label: string; ride?: Ride },
  take: (options: TurnOptions, progress: Progress | undefined) => Promise<T>,
): Promise<T> {
  const call = async (progress: Progress | undefined) => {
    const since = timeNow();
    const left = Math.min(seconds * 1_000 - loop.worked_ms, deadline_at - since + deadlineSlack);
    const scheduleToCloseTimeout = Math.max(1, left);
    const summary = loop.turn > 1 ? `${label}, turn ${loop.turn}` : label;
    let isWork = true;
    try {
      return await take({ summary, scheduleToCloseTimeout }, progress);
    } catch (error) {
      isWork = !wasPutOff(error);
      throw error;
    } finally {
      if (isWork) loop.worked_ms += timeNow() - since;
    }
  };
  return makeCall(run, call, ride);
}

/** One turn of the model of a step, within the step's own time. */
export function callStep(run: DefinedRun, step: StepOutline, task: TaskState, state: StateRefs, loop: StepLoop) {
  const bounds = { seconds: step.timeout_seconds, label: optionsOf(step, task).summary, ride: rideOf(state) };
  return turnWithin(run, loop, bounds, (options, progress) => {
    const input = { ...executionOf(run, step, task), state, turn: loop.turn, progress };
    return activities.callStep.executeWithOptions(options, [input]);
  });
}

/** One turn of the agent of a run, within the agent's own time and that of its run. Where it `completes` the run, that may be done then. */
export function callAgent(
  run: RunContext,
  task: TaskState,
  given: Omit<Material, 'inputs'> & { completes: boolean },
  loop: StepLoop,
  time: { seconds: number; deadline_at?: number | undefined },
) {
  const { id: task_id, attempts: attempt, agent } = task;
  const label = `${task_id} ${agent}${attempt > 1 ? `, attempt ${attempt}` : ''}`;
  const ride = { endsRun: given.completes };
  return turnWithin(run, loop, { ...time, label, ride }, async (options, progress) => {
    const input = { run_id: run.state.run_id, task_id, attempt, ...given, turn: loop.turn, progress };
    const { status, ...turn } = await activities.callAgent.executeWithOptions(options, [input]);
    if (status) endedInPostgres(run, status);
    return turn;
  });
}

export function routeStep(run: DefinedRun, step: StepOutline, task: TaskState, state: StateRefs) {
  return makeCall(
    run,
    (progress) =>
      activities.routeStep.executeWithOptions(optionsOf(step, task), [
        { ...executionOf(run, step, task), state, progress },
      ]),
    rideOf(state),
  );
}

/** A step that needs no model: code, a condition, a merge. */
export function computeStep(run: DefinedRun, step: StepOutline, task: TaskState, state: StateRefs) {
  return runWithProgress(
    run,
    (progress) =>
      activities.computeStep.executeWithOptions(optionsOf(step, task), [
        { ...executionOf(run, step, task), state, progress },
      ]),
    rideOf(state),
  );
}

export function collectLoop(run: DefinedRun, step: StepOutline, task: TaskState, iterations: StateRefs[]) {
  return runWithProgress(
    run,
    (progress) =>
      activities.collectLoop.executeWithOptions(optionsOf(step, task), [
        { ...executionOf(run, step, task), iterations, progress },
      ]),
    rideOf(...iterations),
  );
}

/** Writes down what a person is shown at a human step. */
export function openForm(
  run: DefinedRun,
  step: StepOutline,
  task: TaskState,
  state: StateRefs,
  last_output_id: string | null,
) {
  return runWithProgress(
    run,
    (progress) =>
      activities.openForm.executeWithOptions(optionsOf(step, task), [
        { ...executionOf(run, step, task), state, last_output_id, progress },
      ]),
    rideOf(state),
  );
}

/** "T1 research: Compare the prices, attempt 2". */
function labelOf({ id, agent, title, attempts }: TaskState): string {
  return `${id} ${agent}: ${title}${attempts > 1 ? `, attempt ${attempts}` : ''}`;
}

function attemptOf({ state }: RunContext, { id, attempts, agent }: TaskState) {
  return { run_id: state.run_id, task_id: id, attempt: attempts, agent: agent! };
}

function executionOf({ state, definition_hash }: DefinedRun, { id: step_id }: StepOutline, { id: task_id }: TaskState) {
  return { run_id: state.run_id, task_id, step_id, definition_hash };
}

/** Code has its time for itself, and this for its way to it. */
const codeAllowance = 60;

/** The step's own time bounds all tries of the activity together. */
function optionsOf(step: StepOutline, task: TaskState) {
  const isCode = step.type === 'transform' || step.type === 'if_else' || step.type === 'switch';
  const seconds = step.timeout_seconds + (isCode ? codeAllowance : 0);
  return { summary: `${task.id}: ${step.name}`, scheduleToCloseTimeout: seconds * 1_000 };
}
