import { Context } from '@temporalio/activity';
import type { Along } from '../db/llm-calls.ts';
import { saveProgress } from '../db/progress.ts';
import { insertText } from '../db/texts.ts';
import type { Work } from '../db/work.ts';
import { asTried, completingProgress } from '../workflows/contract/completion.ts';
import { eventOf } from '../workflows/contract/events.ts';
import type { Progress, Refused, RunStatus } from '../workflows/contract/states.ts';
import { previewOf, takeTurn, type Taken, type Turn } from './agent.ts';
import { askForJson } from './ask-json.ts';
import { askForText } from './ask-text.ts';
import { callOf, warningsOf, type Answer } from './call.ts';
import { atWork, keep, signed } from './at-work.ts';
import type { ActivityDeps } from './deps.ts';
import { filesFor } from './files.ts';
import type { Material } from './prompts/blocks.ts';
import { evaluateTaskAnswer, evaluateTaskPrompt } from './prompts/evaluate-task.ts';
import { executeTaskPrompt } from './prompts/execute-task.ts';
import { finalizeRunPrompt } from './prompts/finalize-run.ts';
import { usualOutputTokens as max_output_tokens } from './output-tokens.ts';
import { callAfter } from './second-call.ts';

const previewLength = 300;

/** A task and the text that stands as its output. */
type OutputRef = { task_id: string; output_id: string | null };
type TaskCall = { run_id: string; task_id: string; attempt: number; agent: string; progress?: Progress };
type Written = { output_id: string; warnings: string[] };
type Finalized = Written & { status?: RunStatus | null };

type ExecuteTask = TaskCall & {
  inputs: OutputRef[];
  feedback_id: string | null;
  previous_output_id: string | null;
  turn?: number;
};
type EvaluateTask = TaskCall & { output_id: string };
/** What is wrong with an output; `feedback_id` is empty where nothing in it could be done better. */
type Evaluation = {
  passed: boolean;
  score: number | null;
  feedback: string;
  feedback_id: string;
  warnings: string[];
};
type FinalizeRun = {
  run_id: string;
  attempt: number;
  outputs: OutputRef[];
  completes?: boolean;
  progress?: Progress;
};

/**
 * How the tasks of a goal are done and judged, and what comes of all of them. `executeTask` evaluates as well; it keeps the
 * name that it has in the histories of runs that wait, in which `evaluateTask` follows it.
 */
export function createTaskActivities(deps: ActivityDeps) {
  return {
    executeTask: (input: ExecuteTask) => atWork(deps, input, textsOf(input), (work) => attempt(deps, input, work)),
    evaluateTask: (input: EvaluateTask) =>
      atWork(deps, input, [input.output_id], (work) =>
        evaluateTask(deps, input, work.texts.get(input.output_id) ?? '', work),
      ),
    finalizeRun: (input: FinalizeRun) => finalizeRun(deps, input),
  };
}

/** A turn of the task's agent; one that is its answer is judged. */
async function attempt(
  deps: ActivityDeps,
  input: ExecuteTask,
  work: Work,
): Promise<Turn & { evaluation?: Evaluation | Refused }> {
  const { turn, text, known } = await executeTask(deps, input, work);
  if (turn.calls?.length) return turn;
  deps.live.changed(input.run_id);
  return { ...turn, evaluation: await callAfter(deps, work, known, (now) => evaluateTask(deps, input, text, now)) };
}

/**
 * Does a task with its agent, from the outputs before it. With feedback: again, from the previous output. An agent
 * with tools takes one turn of it.
 */
async function executeTask(deps: ActivityDeps, input: ExecuteTask, work: Work): Promise<Taken> {
  const { run, tasks, texts } = work;
  const { task_id, attempt } = input;
  const agent = run.agents.find(({ name }) => name === input.agent)!;
  const prompt = executeTaskPrompt({
    goal: run.task,
    task: tasks.find(({ id }) => id === task_id)!,
    agent,
    material: [
      ...(await filesFor(deps, work, [task_id, ...input.inputs.map((before) => before.task_id)])),
      ...materialOf(work, input.inputs),
    ],
    draft: texts.get(input.previous_output_id ?? ''),
    feedback: texts.get(input.feedback_id ?? ''),
  });
  const request = { ...prompt, max_output_tokens };
  const call = callOf(work, { agent, task_id, purpose: 'execute_task', attempt }, request);
  return takeTurn(deps, { ...call, alongOf, goes_on: true }, task_id, agent, input.turn);

  function alongOf({ call_id: output_id, text }: Answer): Along {
    const turn = { task_id, attempt, turn: input.turn, output_id, preview: previewOf(text) };
    return { draft: { attempt, events: agent.tools?.length ? [eventOf('agent.turn', turn)] : [] } };
  }
}

/**
 * Judges an output. One whose evaluation cannot be read has not passed, and since nothing in it could be done better, it
 * has no feedback: a person decides.
 */
async function evaluateTask(deps: ActivityDeps, input: TaskCall, output: string, work: Work): Promise<Evaluation> {
  const { run, tasks } = work;
  const { task_id, attempt } = input;
  const agent = run.agents.find(({ name }) => name === input.agent);
  const task = tasks.find(({ id }) => id === task_id)!;
  const request = { ...evaluateTaskPrompt({ goal: run.task, task, output }), max_output_tokens: 1_024 };
  const call = callOf(work, { agent, task_id, purpose: 'evaluate_task', attempt }, request);
  const answer = await askForJson(deps, call, evaluateTaskAnswer, (value) => ({ value }));
  if (!answer) {
    const feedback = 'The evaluation could not be read, so nobody has judged this output.';
    return { passed: false, score: null, feedback, feedback_id: '', warnings: [] };
  }
  const { passed, score = null, feedback } = answer.value;
  const feedback_id = `${answer.call_id}/feedback`;
  if (!passed) await insertText(deps.db, { text_id: feedback_id, run_id: run.run_id, text: feedback });
  return {
    passed,
    score,
    feedback: feedback.slice(0, previewLength).toWellFormed(),
    feedback_id,
    warnings: answer.warnings,
  };
}

/**
 * Writes the final output from the outputs of all tasks and, if it `completes` the run, that it is completed. Returns
 * the status that stands then. None when there are warnings, which come before the end, and when the run has gone on
 * without this attempt.
 */
function finalizeRun(deps: ActivityDeps, input: FinalizeRun): Promise<Finalized> {
  const { db } = deps;
  const { run_id, attempt, outputs, completes } = input;
  const progress = input.progress && asTried(input.progress, Context.current().info.attempt);
  const ids = outputs.map(({ output_id }) => output_id);
  return atWork(deps, { run_id, progress }, ids, async (work) => {
    const material = [...(await filesFor(deps, work)), ...materialOf(work, outputs)];
    const request = { ...finalizeRunPrompt({ goal: work.run.task, material }), max_output_tokens };
    const call = callOf(work, { task_id: null, purpose: 'finalize_run', attempt }, request);
    // With limits, a warning of them may come before the end.
    const isLimited = work.run.max_cost_usd !== null || work.run.max_tokens !== null;
    const alongOf = (said: Answer) => ({ completing: isLimited ? undefined : completionBy(said) });
    const answer = await askForText(deps, { ...call, alongOf });
    // Of an answer that another try has paid for.
    const completing = answer.status === undefined ? completionBy(answer) : undefined;
    const status = completing ? (await keep(() => saveProgress(db, run_id, completing))).status : answer.status;
    if (status !== undefined) {
      deps.live.ended(run_id);
      deps.outbox.ended(run_id);
    }
    return status === undefined ? writtenBy(answer) : { ...writtenBy(answer), status };
  });

  function completionBy(answer: Answer): Along['completing'] {
    const completing = completingProgress({ completes, progress }, writtenBy(answer));
    return completing && signed(completing);
  }
}

function writtenBy(answer: Answer): Written {
  return { output_id: answer.call_id, warnings: warningsOf(answer, 'final output') };
}

function textsOf(input: { inputs: OutputRef[]; feedback_id: string | null; previous_output_id: string | null }) {
  return [...input.inputs.map((before) => before.output_id), input.feedback_id, input.previous_output_id];
}

function materialOf({ tasks, texts }: Work, outputs: OutputRef[]): Material[] {
  return outputs.flatMap(({ task_id, output_id }) => {
    const task = tasks.find(({ id }) => id === task_id);
    const text = output_id && texts.get(output_id);
    if (!task || !text) return [];
    return [{ by: task.kind === 'human' ? 'person' : 'agent', text, attributes: { from: task_id, title: task.title } }];
  });
}
