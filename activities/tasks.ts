import { Context } from '@temporalio/activity';
import { completeRun } from '../db/progress.ts';
import { insertText } from '../db/texts.ts';
import type { Work } from '../db/work.ts';
import type { Progress, RunStatus } from '../workflows/contract/states.ts';
import { takeTurn, type Turn } from './agent.ts';
import type { ActivityDeps } from './deps.ts';
import { askForJson, askModel, atWork, keep, warningsOf } from './model.ts';
import type { Material } from './prompts/blocks.ts';
import { evaluateTaskAnswer, evaluateTaskPrompt } from './prompts/evaluate-task.ts';
import { executeTaskPrompt } from './prompts/execute-task.ts';
import { finalizeRunPrompt } from './prompts/finalize-run.ts';

/** Tokens; the least that the default models of all vendors can write in one answer. */
const max_output_tokens = 8_192;
const previewLength = 300;

/** A task and the text that stands as its output. */
type OutputRef = { task_id: string; output_id: string | null };
type TaskCall = { run_id: string; task_id: string; attempt: number; agent: string; progress?: Progress };
type Written = { output_id: string; warnings: string[] };
type Finalized = Written & { status?: RunStatus | null };

export function createTaskActivities(deps: ActivityDeps) {
  const { db } = deps;

  return {
    /**
     * Does a task with its agent, from the outputs before it. With feedback: again, from the previous output. An agent
     * with tools takes one turn of it.
     */
    executeTask: (
      input: TaskCall & {
        inputs: OutputRef[];
        feedback_id: string | null;
        previous_output_id: string | null;
        turn?: number;
      },
    ): Promise<Turn> =>
      atWork(deps, input, textsOf(input), async (work) => {
        const { run, tasks, texts } = work;
        const { task_id, attempt } = input;
        const agent = run.agents.find(({ name }) => name === input.agent)!;
        const prompt = executeTaskPrompt({
          goal: run.task,
          task: tasks.find(({ id }) => id === task_id)!,
          agent,
          material: collect(work, input.inputs),
          draft: texts.get(input.previous_output_id ?? ''),
          feedback: texts.get(input.feedback_id ?? ''),
        });
        const request = { ...prompt, max_output_tokens };
        const call = { work, agent, task_id, purpose: 'execute_task' as const, attempt, request };
        return takeTurn(deps, call, task_id, agent, input.turn);
      }),

    /** Judges an output. An evaluation that cannot be read counts as passed, with a warning. */
    evaluateTask: (input: TaskCall & { output_id: string }) =>
      atWork(deps, input, [input.output_id], async (work) => {
        const { run, tasks, texts } = work;
        const { task_id, attempt, output_id } = input;
        const agent = run.agents.find(({ name }) => name === input.agent);
        const task = tasks.find(({ id }) => id === task_id)!;
        const output = texts.get(output_id) ?? '';
        const request = { ...evaluateTaskPrompt({ goal: run.task, task, output }), max_output_tokens: 1_024 };
        const answer = await askForJson(
          deps,
          { work, agent, task_id, purpose: 'evaluate_task', attempt, request },
          evaluateTaskAnswer,
        );
        if (!answer) {
          const warnings = [`The evaluation of ${task_id} could not be read; its output was taken as it is.`];
          return { passed: true, score: 0, feedback: 'Not evaluated.', feedback_id: '', warnings };
        }
        const { passed, score, feedback } = answer.value;
        const feedback_id = `${answer.call_id}/feedback`;
        if (!passed) await insertText(db, { text_id: feedback_id, run_id: run.run_id, text: feedback });
        return {
          passed,
          score,
          feedback: feedback.slice(0, previewLength).toWellFormed(),
          feedback_id,
          warnings: answer.warnings,
        };
      }),

    /**
     * Writes the final output from the outputs of all tasks and, if it `completes` the run, that it is completed. Returns
     * the status that stands then. None when there are warnings, which come before the end, and when the run has gone on
     * without this attempt.
     */
    finalizeRun: (input: {
      run_id: string;
      attempt: number;
      outputs: OutputRef[];
      completes?: boolean;
      progress?: Progress;
    }): Promise<Finalized> => {
      const { run_id, attempt, outputs, completes } = input;
      const progress = input.progress && asTried(input.progress);
      const ids = outputs.map(({ output_id }) => output_id);
      return atWork(deps, { run_id, progress }, ids, async (work) => {
        const material = collect(work, outputs);
        const request = { ...finalizeRunPrompt({ goal: work.run.task, material }), max_output_tokens };
        const call = { work, task_id: null, purpose: 'finalize_run' as const, attempt, request };
        const answer = await askModel(deps, call);
        const written = { output_id: answer.call_id, warnings: warningsOf(answer, 'final output') };
        if (!completes || !progress || written.warnings.length) return written;
        const status = await keep(() => completeRun(db, run_id, progress, written.output_id));
        deps.live.changed(run_id);
        return { ...written, status };
      });
    },
  };
}

/** Each attempt writes a version of its own: one that comes too late does not end a run that another has taken over. */
function asTried(progress: Progress): Progress {
  return { ...progress, version: progress.version + Context.current().info.attempt - 1 };
}

function textsOf(input: { inputs: OutputRef[]; feedback_id: string | null; previous_output_id: string | null }) {
  return [...input.inputs.map((before) => before.output_id), input.feedback_id, input.previous_output_id];
}

function collect({ tasks, texts }: Work, outputs: OutputRef[]): Material[] {
  return outputs.flatMap(({ task_id, output_id }) => {
    const task = tasks.find(({ id }) => id === task_id);
    const text = output_id && texts.get(output_id);
    return task && text ? [{ task_id, title: task.title, by: task.kind === 'human' ? 'person' : 'agent', text }] : [];
  });
}
