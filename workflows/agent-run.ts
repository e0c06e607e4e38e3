import {
  ActivityFailure,
  ApplicationFailure,
  continueAsNew,
  isCancellation,
  TimeoutFailure,
} from '@temporalio/workflow';
import { agentLoop } from './agent-loop.ts';
import { mayComplete, type Completed } from './contract/completion.ts';
import { errorCodeOf } from './contract/error-codes.ts';
import type { AgentRunInput, RunResult } from './contract/inputs.ts';
import { isFaultOfAnswer } from './contract/agent-task.ts';
import { agentTask, outline } from './contract/plan.ts';
import type { AgentLoop, StepLoop, TaskProgress, TaskState } from './contract/states.ts';
import { withinDeadline } from './deadline.ts';
import { completeRun, runToEnd } from './ending.ts';
import { nextLimit } from './history.ts';
import { runCode } from './code-activities.ts';
import { callAgent, waitForSandbox } from './model-activities.ts';
import { openRun, whichTry, type RunContext } from './run-context.ts';
import { changeRun, changeTask, record, warn } from './state.ts';
import { beginAttempt, doByAgent, noAttempts } from './task-attempts.ts';
import { hearTerms } from './terms.ts';

type AgentRun = RunContext & { readonly input: AgentRunInput; readonly work: TaskProgress };

/**
 * One agent, one input, one output: its model, in turns where it has tools, and a person who approves where that is asked for.
 * Ends `failed` when the model is refused for good, takes too long, or gives no output that can be used, or its deadline is
 * over; it can be tried again then. When its history has grown long it continues as new, with `carried`.
 */
export async function agentRun(input: AgentRunInput): Promise<RunResult> {
  const run: AgentRun = Object.assign(openRun(input), { input, work: input.carried?.work ?? noAttempts() });
  hearTerms(run);
  return runToEnd(
    run,
    (telling) => withinDeadline(telling, input, () => story(telling)),
    (carried) =>
      continueAsNew<typeof agentRun>({ ...input, ...nextLimit(run), carried: { ...carried, work: run.work } }),
  );
}

/** A run that continues as new, or is tried again, tells it from its beginning. */
async function story(run: AgentRun): Promise<Completed> {
  const { input, state, work } = run;
  changeRun(run, { phase: 'execute' });
  record(run, 'run.started', { phase: 'execute', ...whichTry(run) });
  const known = agentTask(input.agent);
  const task = state.tasks.find(({ id }) => id === known.id) ?? known;
  if (task === known) state.tasks.unshift(task);
  changeTask(run, task, {});
  record(run, 'run.planned', { tasks: [outline(task)] });
  await doByAgent(run, task, work, input.require_approval, () => attempt(run, task));
  return completeRun(run, task.output_id);
}

/** One output. There is nobody who judges it: what its schema does not take has been asked for again. */
async function attempt(run: AgentRun, task: TaskState): Promise<TaskProgress['trouble']> {
  if (run.input.code) return attemptByCode(run, task, run.input.code);
  const { work } = run;
  const loop = timed(beginAttempt(run, task, work));
  const { feedback_id } = work;
  const { timeout_seconds, deadline_at, require_approval } = run.input;
  const completes = !require_approval && mayComplete(task.attempts, run.attempt);
  const material = { feedback_id, previous_output_id: feedback_id ? loop.draft_id : null, completes };
  try {
    const takeTurn = () => callAgent(run, task, material, loop, { seconds: timeout_seconds, deadline_at });
    const { output_id, calls } = await agentLoop({ run, task, loop }, takeTurn);
    if (!calls) record(run, 'agent.turn', { task_id: task.id, attempt: task.attempts, output_id });
    changeTask(run, task, { output_id });
    return null;
  } catch (error) {
    if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
    throw failed(run, task, error);
  }
}

/** The same of an agent whose output code makes. What was lost in the middle and may not be run again is for a person, where that is wished. */
async function attemptByCode(
  run: AgentRun,
  task: TaskState,
  { on_interrupted }: NonNullable<AgentRunInput['code']>,
): Promise<TaskProgress['trouble']> {
  const { timeout_seconds: seconds, require_approval } = run.input;
  beginAttempt(run, task, run.work);
  const completes = !require_approval && mayComplete(task.attempts, run.attempt);
  try {
    const { output_id, warnings } = await runCode(run, task, {
      completes,
      seconds,
      findOut: () => waitForSandbox(run),
    });
    warn(run, ...warnings);
    record(run, 'agent.turn', { task_id: task.id, attempt: task.attempts, output_id });
    changeTask(run, task, { output_id });
    return null;
  } catch (error) {
    if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
    const { cause } = error;
    const wasInterrupted = cause instanceof ApplicationFailure && cause.type === 'CodeInterrupted';
    if (!wasInterrupted || on_interrupted === 'fail') throw failed(run, task, error);
    changeTask(run, task, { error: cause.message });
    return { reason: `The agent "${run.input.agent.name}" was interrupted: ${cause.message}` };
  }
}

/** What its turns take counts for all of them together. */
function timed(loop: AgentLoop & { worked_ms?: number }): StepLoop {
  return Object.assign(loop, { worked_ms: loop.worked_ms ?? 0 });
}

/** Ends the task as failed. Where the answer is at fault, it is said as its evaluation: another try asks anew. */
function failed(run: AgentRun, task: TaskState, { cause, message }: ActivityFailure): ApplicationFailure {
  const isLate = cause instanceof TimeoutFailure && cause.timeoutType === 'SCHEDULE_TO_CLOSE';
  const { agent, timeout_seconds, deadline_at } = run.input;
  // A deadline may be that of who has called.
  const late = deadline_at === undefined ? `it timed out after ${timeout_seconds}s.` : 'it was not done in time.';
  const reason = isLate ? late : (cause?.message ?? message);
  const error = `The agent "${agent.name}" failed: ${reason}`;
  const type = cause instanceof ApplicationFailure ? cause.type : undefined;
  const evaluation = isFaultOfAnswer(type) ? { passed: false, score: null, feedback: reason } : null;
  changeRun(run, { error_code: isLate ? 'TIMEOUT' : errorCodeOf(type) });
  changeTask(run, task, { status: 'failed', error, evaluation });
  record(run, 'task.failed', { task_id: task.id, attempt: task.attempts, error });
  return ApplicationFailure.nonRetryable(error, 'AgentFailed');
}
