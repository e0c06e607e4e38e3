import { nextSteps, reach, type StepOutline } from '../../workflows/contract/definition.ts';
import { placesOf, stepsByPath, type Source, type Standing } from './standing.ts';

/**
 * The ids of the steps that may be executed when the one of this path, and all after it, is done again. That of a step of which all
 * executions stand is none of them, unless a way leads there again.
 */
export function stepsToRun(
  source: Omit<Source, 'definition'> & { definition: { steps: StepOutline[] } },
  { standing }: Pick<Standing, 'standing'>,
  from: string,
): Set<string> {
  const byId = new Map(source.definition.steps.map((step) => [step.id, step]));
  const byPath = stepsByPath(source);
  const places = placesOf(from);
  const starts = [byPath.get(from)!];
  let line = '';
  for (const [level, { n, part }] of places.entries()) {
    if (part === undefined) break;
    const container = byId.get(byPath.get(`${line}${n}`) ?? '');
    if (container) {
      const within = { line: `${line}${n}`, part, n: places[level + 1]!.n };
      starts.push(...nextSteps(container).map(({ step_id }) => step_id), ...leftOf(container, within, standing));
    }
    line = `${line}${n}.${part}/`;
  }
  return reach(byId, starts);
}

/** With which steps a container goes on that is around the `n`th execution in its branch or iteration `part`. */
function leftOf(
  container: StepOutline,
  { line, part, n }: { line: string; part: number; n: number },
  standing: Standing['standing'],
): string[] {
  if (container.type === 'loop') {
    return part < container.loop_count ? container.loop_step_ids : container.loop_step_ids.slice(n);
  }
  if (container.type !== 'parallel') return [];
  return container.parallel_branches.flatMap((branch, index) => {
    if (index === part) return branch.length === 1 ? [] : branch.slice(n);
    return leftOfBranch(branch, standing, `${line}.${index}/`);
  });
}

function leftOfBranch(branch: string[], standing: Standing['standing'], line: string): string[] {
  const own = standing.filter(({ step: { path } }) => path.startsWith(line) && !path.slice(line.length).includes('/'));
  const last = own.toSorted((one, other) => numberIn(line, one.step.path) - numberIn(line, other.step.path)).at(-1);
  if (!last) return branch;
  if (branch.length > 1) return branch.slice(numberIn(line, last.step.path));
  return last.step.next === null ? [] : [last.step.next];
}

/** Which of its line an execution is. */
function numberIn(line: string, path: string): number {
  return Number(path.slice(line.length));
}
