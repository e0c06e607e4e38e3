import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Along } from '../db/llm-calls.ts';
import { saveProgress } from '../db/progress.ts';
import { insertText } from '../db/texts.ts';
import type { JsonSchema } from '../db/schema.ts';
import type { Work } from '../db/work.ts';
import { checkerOf, inWords } from '../src/agents/schema-check.ts';
import { withoutStandIns } from '../src/llm/index.ts';
import { longInputId } from '../workflows/contract/agent-task.ts';
import { asTried, completingAgentTask } from '../workflows/contract/completion.ts';
import type { Progress, RunStatus } from '../workflows/contract/states.ts';
import { takeTurn, type Turn } from './agent.ts';
import { askForShape, lastThatFits, type Shape } from './ask-json.ts';
import { atWork, keep, signed } from './at-work.ts';
import { callOf, warningsOf, type Answer } from './call.ts';
import type { ActivityDeps } from './deps.ts';
import { filesFor } from './files.ts';
import { usualOutputTokens as max_output_tokens } from './output-tokens.ts';
import { cut } from './prompts/blocks.ts';
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

type Completing = Pick<CallAgent, 'run_id' | 'completes' | 'progress'>;

/** `status` is the one that stands when it was to complete the run. */
export type AgentTurn = Turn & { status?: RunStatus | null };

/** The runs of one agent. */
export function createAgentActivities(deps: ActivityDeps) {
  return {
    callAgent(input: CallAgent) {
      const progress = input.progress && asTried(input.progress, Context.current().info.attempt);
      const asked = { ...input, progress };
      const text_ids = [input.feedback_id, input.previous_output_id, longInputId(input.run_id)];
      return atWork(deps, asked, text_ids, async (work) =>
        completeAgentRun(deps, asked, await callAgent(deps, asked, work)),
      );
    },
  };
}

/** What came of the agent of a run, and where it is the output, the end of the run in the same go: readers need not wait for more. */
export async function completeAgentRun(
  deps: ActivityDeps,
  input: Completing,
  { turn, status: written }: { turn: Turn; status?: RunStatus | null },
): Promise<AgentTurn> {
  const { run_id } = input;
  // Of an answer that another try has paid for, or that is not the output as it is.
  const completing = written === undefined && !turn.calls ? completionBy(input, turn) : undefined;
  const status = completing ? (await keep(() => saveProgress(deps.db, run_id, completing))).status : written;
  if (status === undefined) return turn;
  deps.live.ended(run_id);
  deps.outbox.ended(run_id);
  return { ...turn, status };
}

/** The end of the run with this output, as the activity writes it that has made it; undefined where its workflow does. */
export function completionBy(input: Completing, written: Pick<Turn, 'output_id' | 'warnings'>): Along['completing'] {
  const completing = completingAgentTask(input, written);
  return completing && signed(completing);
}

/**
 * A turn of the agent of a run. With an output schema its answer is JSON that fits it, and is asked for again where it does not.
 * @throws `OutputInvalid` when none does, and what `takeTurn` throws.
 */
async function callAgent(
  deps: ActivityDeps,
  input: CallAgent,
  work: Work,
): Promise<{ turn: Turn } & Pick<Answer, 'status'>> {
  const { run, texts } = work;
  const { task_id, attempt } = input;
  const agent = run.agents[0]!;
  const schema = run.agent_run?.output_schema ?? null;
  const prompt = runAgentPrompt({
    input: inputOf(work),
    task_id,
    agent,
    material: await filesFor(deps, work),
    schema,
    draft: texts.get(input.previous_output_id ?? ''),
    feedback: texts.get(input.feedback_id ?? ''),
  });
  const key = { agent, task_id, attempt };
  const call = callOf(work, { ...key, purpose: 'run_agent' }, { ...prompt, max_output_tokens });
  const shape = schema && outputShape(schema);
  if (shape && !agent.tools?.length) {
    const asked = await askForShape(deps, call, shape, (value) => ({ value }));
    return { turn: await keepOutput(deps, run.run_id, withWarnings(asked, agent.name)) };
  }
  const { turn, text, status } = await takeTurn(deps, { ...call, alongOf }, agent.name, agent, input.turn);
  if (!shape || turn.calls?.length) return { turn, status };

  const said = lastThatFits(shape, text);
  if ('value' in said) {
    const kept = await keepOutput(deps, run.run_id, { ...said, call_id: turn.output_id, warnings: [] });
    return { turn: { ...turn, output_id: kept.output_id } };
  }
  const shaped = shapeOutputPrompt({ input: inputOf(work), task_id, name: agent.name, answer: text, schema: schema! });
  const shaping = callOf(work, { ...key, purpose: 'shape_output' }, { ...shaped, max_output_tokens });
  const asked = await askForShape(deps, shaping, shape, (value) => ({ value }));
  const { output_id, warnings } = await keepOutput(deps, run.run_id, withWarnings(asked, agent.name));
  return { turn: { ...turn, output_id, warnings: [...new Set([...turn.warnings, ...warnings])] } };

  /** The end of the run, where its output is the answer as it is. With limits, a warning of them may come before the end. */
  function alongOf(answer: Answer): Along {
    const isLimited = run.max_cost_usd !== null || run.max_tokens !== null;
    if (agent.tools?.length || isLimited) return {};
    return { completing: completionBy(input, { output_id: answer.call_id, warnings: warningsOf(answer, agent.name) }) };
  }
}

/** What the agent was asked for; of one that is too long for lists, the run itself has the beginning only. */
export function inputOf({ run, texts }: Work): string {
  return texts.get(longInputId(run.run_id)) ?? run.task;
}

/** What an account's schema describes. The values of an answer are checked within the steps of one check. */
function outputShape(schema: JsonSchema): Shape<unknown> {
  return {
    json_schema: schema,
    is_accounts: true,
    reader() {
      const check = checkerOf(schema);
      return (said) => {
        const value = withoutStandIns(schema, said);
        const faults = check(value);
        if (faults.length === 0) return { value };
        return { fault: cut(faults.slice(0, 10).map(inWords).join('; '), 1_000) };
      };
    },
  };
}

type Kept = { value: unknown; call_id: string; warnings: string[] };

/** JSON that was read is whole, also where the answer was cut off after it. */
function withWarnings(
  asked: { value: unknown; answer: Answer } | { fault: string },
  name: string,
): Kept | { fault: string } {
  if ('fault' in asked) return asked;
  const { value, answer } = asked;
  return { value, call_id: answer.call_id, warnings: warningsOf({ ...answer, finish: 'stop' }, name) };
}

/** The output is the JSON alone, whatever the model has said around it. */
async function keepOutput(
  { db }: ActivityDeps,
  run_id: string,
  kept: Kept | { fault: string },
): Promise<{ output_id: string; warnings: string[] }> {
  if ('fault' in kept) {
    const message = `three times its model gave no output that fits the output schema: ${cut(kept.fault, 300)}`;
    throw ApplicationFailure.nonRetryable(message, 'OutputInvalid');
  }
  const output_id = `${kept.call_id}/output`;
  await insertText(db, { text_id: output_id, run_id, text: JSON.stringify(kept.value) });
  return { output_id, warnings: kept.warnings };
}
