import { topologicalOrder } from '../workflows/contract/graph.ts';
import { plain } from './prompts/readings.ts';

type PlannedTask = { id: string; title: string };
type Inferred = { task_id: string; depends_on: string[] }[];
type Graph = { id: string; depends_on: string[] }[];

/**
 * The graph that a model means by its words for tasks: ids, numbers, titles. What is named twice counts once, and no task
 * waits for itself. A word that is no task's, and a cycle, are faults, in a sentence that the model can act on.
 */
export function graphOf(tasks: PlannedTask[], inferred: Inferred): { value: Graph } | { fault: string } {
  const find = taskFinder(tasks);
  const dependsOn = new Map(tasks.map(({ id }) => [id, new Set<string>()]));
  for (const entry of inferred) {
    const id = find(entry.task_id);
    if (!id) return { fault: `${quote(entry.task_id)} is not a task.` };
    for (const said of entry.depends_on.flatMap((words) => (find(words) ? [words] : partsOf(words)))) {
      const before = find(said);
      if (!before) return { fault: `Task ${id} depends on ${quote(said)}, which is not a task.` };
      if (before !== id) dependsOn.get(id)!.add(before);
    }
  }
  const graph = [...dependsOn].map(([id, before]) => ({ id, depends_on: [...before] }));
  return topologicalOrder(graph) ? { value: graph } : { fault: 'The dependencies form a cycle.' };
}

function quote(words: string): string {
  return JSON.stringify(words.slice(0, 40).toWellFormed());
}

/** Finds the task that words mean: "T2", "t2: Compare", "2", "Task 2", "Aufgabe 2", or its title where no other has it. */
function taskFinder(tasks: PlannedTask[]): (words: string) => string | undefined {
  const ids = new Set(tasks.map(({ id }) => id));
  const byTitle = Map.groupBy(tasks, ({ title }) => plain(title));
  return (words) => {
    const [named, ...more] = byTitle.get(plain(words)) ?? [];
    if (ids.has(words)) return words;
    if (named) return more.length === 0 ? named.id : undefined;
    const [, number] = /^(?:\p{L}{1,20}[\s._:#-]{0,3}|#)?(\d{1,4})$/u.exec(words) ?? [];
    const said = number === undefined ? (words.match(/\bT\d{1,4}\b/gi) ?? []) : [`T${Number(number)}`];
    const meant = new Set(said.map((id) => id.toUpperCase()));
    const [id = ''] = meant;
    return meant.size === 1 && ids.has(id) ? id : undefined;
  };
}

const none = new Set(['', 'none', 'null', 'nil', 'na', 'no', 'nothing', 'false', 'nodependencies']);

/** Several that stand in one text: "T1, T2", "T1 and T2". "None" is nothing. */
function partsOf(words: string): string[] {
  const parts = words.split(/[,;&+\n、，；]|\s(?:and|und|et|e|y|en|och|og|и)\s/iu).map((part) => part.trim());
  return parts.filter((part) => !none.has(plain(part)));
}
