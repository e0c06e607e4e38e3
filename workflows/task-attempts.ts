import { agentLoop } from './agent-loop.ts';
import { outputsBefore } from './contract/plan.ts';
import type { AgentLoop, TaskProgress, TaskState } from './contract/states.ts';
import { awaitAnswer } from './gate.ts';
import { restWhenLong } from './history.ts';
import { released } from './holds.ts';
import { accepted, evaluateTask, executeTask, refusal } from './model-activities.ts';
import type { RunContext } from './run-context.ts';
import { changeTask, complete, record, warn } from './state.ts';

/** How agents do tasks: in attempts, until one is good or a person decides. Those of a goal are evaluated. */

const maxEvaluationRetries = 2;

/** Of a task that nothing is known of yet. */
export function noAttempts(): TaskProgress {
  return { failures: 0, feedback_id: null, trouble: null, is_underway: false };
}

/**
 * Execute, evaluate, again with the feedback; then a person decides, who may send it back as often as they like.
 * `taskProgress` comes along when the run continues as new. `attemptOnce` returns what is wrong with an attempt, or null.
 */
export async function doByAgent(
  run: RunContext,
  task: TaskState,
  taskProgress: TaskProgress,
  require_approval: boolean,
  attemptOnce: () => Promise<TaskProgress['trouble']> = () => attempt(run, task, taskProgress),
): Promise<void> {
  for (;;) {
    // At a gate of a tool call it is in the middle of an attempt.
    if (task.gate?.status !== 'open' || task.gate.kind === 'tool_approval') {
      if (run.projection.isHeld && !taskProgress.is_underway) await released(run);
      restWhenLong(run);
      taskProgress.trouble = await attemptOnce();
      // Not when it rests there: then it goes on with this attempt.
      taskProgress.is_underway = false;
      const { trouble, failures } = taskProgress;
      if (trouble?.feedback_id && failures < maxEvaluationRetries) {
        taskProgress.failures += 1;
        taskProgress.feedback_id = trouble.feedback_id;
        record(run, 'task.retrying', { task_id: task.id, attempt: task.attempts, reason: trouble.reason });
        continue;
      }
      if (!trouble && !require_approval) return complete(run, task, task.output_id);
    }

    const { trouble } = taskProgress;
    const kind = trouble ? 'escalation' : 'approval';
    const answer = await awaitAnswer(run, task, { kind, policy: () => run.terms.gate_policy, reason: trouble?.reason });
    if (answer.decision === 'edit') return complete(run, task, answer.output_id);
    if (answer.decision === 'approve') return complete(run, task, (trouble && answer.output_id) || task.output_id);
    taskProgress.failures = 0;
    // A retry keeps the feedback that it was asked to answer.
    if (answer.decision === 'reject') taskProgress.feedback_id = answer.output_id;
    else taskProgress.feedback_id = trouble?.feedback_id ?? taskProgress.feedback_id;
  }
}

/** One execution and its evaluation. Returns what is wrong with it, or null when it is good. */
async function attempt(run: RunContext, task: TaskState, taskProgress: TaskProgress): Promise<TaskProgress['trouble']> {
  const loop = beginAttempt(run, task, taskProgress);
  const { feedback_id } = taskProgress;
  const previous_output_id = feedback_id ? loop.draft_id : null;
  const material = { inputs: outputsBefore(run.state.tasks, task), feedback_id, previous_output_id };
  try {
    const takeTurn = () => executeTask(run, task, material, loop.turn);
    const { output_id, evaluation: verdict } = await agentLoop({ run, task, loop }, takeTurn);
    changeTask(run, task, { output_id });
    const evaluation = accepted(verdict) ?? (await evaluateTask(run, task, output_id));
    warn(run, ...evaluation.warnings);
    const { passed, score, feedback, feedback_id: said_id } = evaluation;
    changeTask(run, task, { evaluation: { passed, score, feedback } });
    const judged = { task_id: task.id, attempt: task.attempts, output_id, passed, score, feedback };
    record(run, 'task.evaluated', passed || !said_id ? judged : { ...judged, feedback_id: said_id });
    if (passed) return null;
    // Without feedback there is none that could be read.
    return said_id ? { reason: `The evaluation says: ${feedback}`, feedback_id: said_id } : { reason: feedback };
  } catch (error) {
    const reason = refusal(error);
    changeTask(run, task, { error: reason });
    return { reason };
  }
}

/** Begins the next attempt, or takes up the one that is under way: answers that were paid for are found by its number. */
export function beginAttempt(run: RunContext, task: TaskState, taskProgress: TaskProgress): AgentLoop {
  const attempts = taskProgress.is_underway ? task.attempts : task.attempts + 1;
  if (!taskProgress.is_underway || !taskProgress.loop) {
    taskProgress.loop = { turn: 1, pending: [], draft_id: task.output_id };
  }
  taskProgress.is_underway = true;
  const status = task.gate?.status === 'open' ? 'waiting_human' : 'running';
  changeTask(run, task, { status, attempts, error: null, evaluation: null });
  record(run, 'task.started', { task_id: task.id, agent: task.agent, attempt: attempts, round: task.round });
  return taskProgress.loop;
}
