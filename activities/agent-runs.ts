import { ApplicationFailure, Context } from '@temporalio/activity';
import type { z } from 'zod';
import { saveProgress } from '../db/progress.ts';
import { insertText } from '../db/texts.ts';
import type { Work } from '../db/work.ts';
import { validatorOf } from '../src/agents/json-schema.ts';
import { asTried, completingAgentTask } from '../workflows/contract/completion.ts';
import type { Progress, RunStatus } from '../workflows/contract/states.ts';
import { takeTurn, type Turn } from './agent.ts';
import { askForJson, lastThatFits } from './ask-json.ts';
import { atWork, keep, signed } from './at-work.ts';
import { callOf } from './call.ts';
import type { ActivityDeps } from './deps.ts';
import { filesFor } from './files.ts';
import { usualOutputTokens as max_output_tokens } from './output-tokens.ts';
import { runAgentPrompt, shapeOutputPrompt } from './prompts/run-agent.ts';

type CallAgent = {
  run_id: string;
  task_id: string;
  attempt: number;
  feedback_id: string | null;
  previous_output_id: string | null;
  turn?: number;
  /** Its output, when it has no tools and there is nothing to warn of, completes the run. */
  completes?: boolean;
  progress?: Progress;
};

/** `status` is the one that stands when it was to complete the run. */
type AgentTurn = Turn & { status?: RunStatus | null };

/** The runs of one agent. */
export function createAgentActivities(deps: ActivityDeps) {
  return {
    callAgent(input: CallAgent) {
      const progress = input.progress && asTried(input.progress, Context.current().info.attempt);
      const asked = { ...input, progress };
      return atWork(deps, asked, [input.feedback_id, input.previous_output_id], (work) =>
        takeAgentTurn(deps, asked, work),
      );
    },
  };
}

/** A turn of the agent of a run, and where it is the only one, the end of the run in the same go: readers need not wait for more. */
async function takeAgentTurn(deps: ActivityDeps, input: CallAgent, work: Work): Promise<AgentTurn> {
  const { run_id } = input;
  const turn = await callAgent(deps, input, work);
  const completing = turn.calls ? undefined : completingAgentTask(input, turn);
  if (!completing) return turn;
  const { status } = await keep(() => saveProgress(deps.db, run_id, signed(completing)));
  deps.live.changed(run_id);
  deps.outbox.ended(run_id);
  return { ...turn, status };
}

/**
 * A turn of the agent of a run. With an output schema its answer is JSON that fits it, and is asked for again where it does not.
 * @throws `OutputInvalid` when none does, and what `takeTurn` throws.
 */
async function callAgent(deps: ActivityDeps, input: CallAgent, work: Work): Promise<Turn> {
  const { run, texts } = work;
  const { task_id, attempt } = input;
  const agent = run.agents[0]!;
  const schema = run.agent_run?.output_schema ?? null;
  const prompt = runAgentPrompt({
    input: run.task,
    task_id,
    agent,
    material: filesFor(work),
    schema,
    draft: texts.get(input.previous_output_id ?? ''),
    feedback: texts.get(input.feedback_id ?? ''),
  });
  const key = { agent, task_id, attempt };
  const call = callOf(work, { ...key, purpose: 'run_agent' }, { ...prompt, max_output_tokens });
  const validator = schema && validatorOf(schema);
  if (validator && !agent.tools?.length) {
    const answer = await askForJson(deps, call, validator, (value) => ({ value }));
    return keepOutput(deps, run.run_id, answer);
  }
  const { turn, text } = await takeTurn(deps, call, agent.name, agent, input.turn);
  if (!validator || turn.calls?.length) return turn;

  const said = lastThatFits(validator, text);
  if ('value' in said) {
    const kept = { value: said.value, call_id: turn.output_id, warnings: turn.warnings };
    return { ...turn, ...(await keepOutput(deps, run.run_id, kept)) };
  }
  const shape = shapeOutputPrompt({ input: run.task, task_id, name: agent.name, answer: text, schema: schema! });
  const shaping = callOf(work, { ...key, purpose: 'shape_output' }, { ...shape, max_output_tokens });
  const answer = await askForJson(deps, shaping, validator, (value) => ({ value }));
  return { ...turn, ...(await keepOutput(deps, run.run_id, answer)) };
}

/** The output is the JSON alone, whatever the model has said around it. */
async function keepOutput(
  { db }: ActivityDeps,
  run_id: string,
  answer: { value: z.output<z.ZodType>; call_id: string; warnings: string[] } | undefined,
): Promise<{ output_id: string; warnings: string[] }> {
  if (!answer) {
    const message = 'three times its model gave no output that fits the output schema.';
    throw ApplicationFailure.nonRetryable(message, 'OutputInvalid');
  }
  const output_id = `${answer.call_id}/output`;
  await insertText(db, { text_id: output_id, run_id, text: JSON.stringify(answer.value) });
  return { output_id, warnings: answer.warnings };
}
