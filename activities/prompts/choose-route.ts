import { z } from 'zod';
import { isObject } from '../../src/llm/index.ts';
import { block, dataRule, listBlock, materialBlocks, parts, type Material } from './blocks.ts';
import { memberOf, nameOf, plain, textOf } from './readings.ts';

export const chooseRouteAnswer = z.preprocess(readChoice, z.object({ route: z.string(), reasoning: z.string() }));

function readChoice(said: unknown) {
  if (!isObject(said)) return said;
  const reasoning = textOf(memberOf(said, 'reasoning', 'reason', 'explanation'));
  return { route: nameOf(memberOf(said, 'route', 'label', 'choice')), reasoning: reasoning ?? 'It gave no reason.' };
}

/** The label that is meant: as it is listed, in any case, alone or with its description. */
export function findRoute(labels: string[], route: string): string | undefined {
  if (labels.includes(route)) return route;
  const meant = labels.filter((label) => plain(label) === plain(route) || route.startsWith(`${label}:`));
  return meant.length === 1 ? meant[0] : undefined;
}

/** An evaluator step: the model picks one of the routes. It sees what the step reads of the state, and nothing else. */
export function chooseRoutePrompt(work: {
  task_id: string;
  name: string;
  instructions: string;
  routes: { label: string; description?: string }[];
  material: Material[];
}) {
  return {
    system: `You are Orchflow's router.
You read the material and choose the one route by which a workflow goes on, and say why in a sentence or two.
Answer with JSON: {"route": one of the labels, "reasoning": "…"}.
${dataRule}`,
    prompt: parts(
      materialBlocks(work.material),
      listBlock(
        'routes',
        work.routes.map(({ label, description }) => (description ? `${label}: ${description}` : label)),
      ),
      block('task', work.instructions, { id: work.task_id, title: work.name }),
    ),
  };
}
