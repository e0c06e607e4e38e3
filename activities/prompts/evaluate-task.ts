import { z } from 'zod';
import { isObject } from '../../src/llm/index.ts';
import { block, cut, dataRule, parts } from './blocks.ts';
import type { TaskBrief } from './execute-task.ts';
import { flagOf, fractionOf, memberOf, shorten, textOf } from './readings.ts';

/** A verdict that is plain stands, whatever is odd beside it. */
export const evaluateTaskAnswer = z.preprocess(
  readVerdict,
  z.object({ passed: z.boolean(), score: z.number().optional(), feedback: z.string() }),
);

function readVerdict(said: unknown) {
  if (!isObject(said)) return said;
  const feedback = memberOf(said, 'feedback', 'reason', 'reasons', 'reasoning', 'explanation', 'comment', 'comments');
  // One plain no stands, whatever is said beside it.
  const flags = ['passed', 'pass', 'is_passed', 'approved', 'verdict'].map((name) => flagOf(memberOf(said, name)));
  return {
    passed: flags.includes(false) ? false : flags.find((flag) => flag !== undefined),
    score: fractionOf(memberOf(said, 'score')),
    feedback: shorten(textOf(feedback) ?? 'The evaluation gives no reason.', 4_000),
  };
}

export function evaluateTaskPrompt(work: { goal: string; task: TaskBrief; output: string }) {
  return {
    system: `You are Orchflow's evaluator.
You judge whether an output does its task well enough to build on.
- It passes when it does what the task asks, is concrete, and does not contradict the goal. Do not ask for perfection.
- It fails when it is empty, off the subject, a refusal, or lacks something that the task asks for.
- \`score\` is between 0 and 1. \`feedback\` says in at most three sentences what to change, or what is good.
${dataRule}`,
    prompt: parts(
      block('goal', work.goal),
      block('task', work.task.description || work.task.title, { id: work.task.id, title: work.task.title }),
      block('draft', cut(work.output, 60_000)),
      'Judge the draft. Answer with JSON only: {"passed": true, "score": 0.9, "feedback": "…"}',
    ),
  };
}
