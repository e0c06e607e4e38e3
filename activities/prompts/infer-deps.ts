import { z } from 'zod';
import { isObject } from '../../src/llm/index.ts';
import { block, dataRule, listBlock, parts } from './blocks.ts';
import { memberOf, nameOf } from './readings.ts';

export const inferDepsAnswer = z.preprocess(
  (said) => ({ dependencies: readEntries(said) }),
  z.object({
    dependencies: z.array(z.object({ task_id: z.string(), depends_on: z.array(z.string()).max(500) })).max(500),
  }),
);

/**
 * A list with an entry a task, or an object with a member a task. None at all are an empty list; entries of which none says
 * what it needs are no dependencies, but tasks.
 */
function readEntries(said: unknown): unknown {
  const given = Array.isArray(said) || isKeyedById(said) ? said : memberOf(said, 'dependencies', 'graph', 'tasks');
  if (given === null) return [];
  const entries = isObject(given) ? entriesOf(given) : given;
  if (!Array.isArray(entries)) return undefined;
  const isNone = entries.length === 0 && given !== said;
  return isNone || entries.some((entry) => needsIn(entry) !== undefined) ? entries.map(readEntry) : undefined;
}

function isKeyedById(said: unknown): boolean {
  const names = isObject(said) ? Object.keys(said) : [];
  return names.length > 0 && names.every((name) => /^\p{L}{0,20}[\s_-]?\d{1,4}$/u.test(name));
}

function entriesOf(byTask: Record<string, unknown>): unknown[] {
  return Object.entries(byTask).map(([task_id, needs]) =>
    isObject(needs) ? { ...needs, task_id } : { task_id, depends_on: needs },
  );
}

function needsIn(entry: unknown): unknown {
  return memberOf(entry, 'depends_on', 'dependencies', 'depends', 'requires', 'needs', 'after', 'prerequisites');
}

function readEntry(entry: unknown) {
  if (!isObject(entry)) return entry;
  return { task_id: nameOf(memberOf(entry, 'task_id', 'task', 'id', 'title')), depends_on: readNeeds(needsIn(entry)) };
}

/** What a task needs: a list, or one alone. */
function readNeeds(needs: unknown): (string | undefined)[] {
  if (needs === undefined || needs === null) return [];
  return (Array.isArray(needs) ? needs : [needs]).filter((need) => need !== null && need !== '').map(needOf);
}

function needOf(need: unknown): string | undefined {
  return Array.isArray(need) ? undefined : nameOf(memberOf(need, 'task_id', 'task') ?? need);
}

export function inferDepsPrompt(run: { task: string; tasks: { id: string; title: string }[] }) {
  return {
    system: `You are Orchflow's dependency analyst.
You decide which subtasks need the results of which others. Tasks that do not need each other run at the same time.
- Name a dependency only when the result of one task is really an input of the other. This is a graph, not a list:
  independent tasks have none, and later tasks may need several.
- Use only the ids given. No task depends on itself, and there are no cycles.
${dataRule}`,
    prompt: parts(
      block('goal', run.task),
      listBlock(
        'tasks',
        run.tasks.map(({ id, title }) => `${id}: ${title}`),
      ),
      'Answer with JSON only, one entry a task: {"dependencies": [{"task_id": "T2", "depends_on": ["T1"]}]}',
    ),
  };
}
