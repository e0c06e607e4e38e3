import { z } from 'zod';
import { isObject } from '../../src/llm/index.ts';
import { block, cut, dataRule, listBlock, materialBlocks, parts, type Material } from './blocks.ts';
import { memberOf, nameOf, shorten, textOf } from './readings.ts';

const maxTitle = 120;
const maxDescription = 4_000;
const maxAgentName = 100;

/** Numbers as they were meant: also one alone, and as texts. None of anything else. */
const stepNumbers = z.preprocess((value) => [value].flat().slice(0, 40).flatMap(readNumbers), z.array(z.int()));

function readNumbers(value: unknown): number[] {
  if (typeof value === 'string') return (value.slice(0, 100).match(/\d{1,3}/g) ?? []).map(Number);
  return typeof value === 'number' && Number.isInteger(value) ? [value] : [];
}

/** Names as they were meant: also one alone. None of anything else. */
const names = z.preprocess(
  (value) =>
    [value]
      .flat()
      .slice(0, 40)
      .flatMap((one) => nameOf(one)?.toLowerCase() ?? []),
  z.array(z.string()),
);

/** By the numbers of the human steps, or a list for each, in their order. None of anything else. */
const skillsOfSteps = z.preprocess(
  (value) => {
    const inOrder = Array.isArray(value)
      ? value.map((skills, index): [string, unknown] => [String(index + 1), skills])
      : [];
    const said = isObject(value) ? Object.entries(value) : inOrder;
    return said
      .slice(0, 40)
      .flatMap(([step, skills]) => readNumbers(step).map((human_step) => ({ human_step, skills })));
  },
  z.array(z.object({ human_step: z.int(), skills: names })),
);

export const splitTasksAnswer = z.preprocess(
  (said) => ({ tasks: distinct(tasksIn(said)?.map(readTask)), step_skills: memberOf(said, 'step_skills') }),
  z.object({
    step_skills: skillsOfSteps,
    tasks: z.array(
      z.object({
        title: z.string(),
        description: z.string(),
        agent: z.string().nullable(),
        human_steps: stepNumbers,
        waits_for: stepNumbers,
      }),
    ),
  }),
);

/** The tasks of a plan: a list, or an object with a member each; under whatever name, when they are the only list. */
function tasksIn(said: unknown): unknown[] | undefined {
  // One without a name may be a list of anything.
  if (Array.isArray(said)) return said.length > 0 && said.every(isObject) ? said : undefined;
  const named = memberOf(said, 'tasks', 'subtasks', 'plan', 'steps');
  if (Array.isArray(named)) return named;
  if (isObject(named)) return tasksIn(named);
  const members = isObject(said) ? Object.values(said) : [];
  const [list, ...more] = members.filter(Array.isArray);
  if (list) return more.length > 0 ? undefined : tasksIn(list);
  return members.length > 1 && members.every(isObject) ? members : undefined;
}

/** A title that is missing is how the description begins; a description that is missing is the title. */
function readTask(said: unknown): unknown {
  const task = typeof said === 'string' ? { title: said } : said;
  if (!isObject(task)) return said;
  const description = textOf(memberOf(task, 'description', 'details', 'instructions', 'summary', 'objective'));
  const title = textOf(memberOf(task, 'title', 'name', 'task', 'subtask')) ?? description?.split('\n', 1)[0];
  const agent = nameOf(memberOf(task, 'agent', 'agents', 'assignee', 'assigned_to', 'role'));
  return {
    title: title && shorten(title, maxTitle),
    description: cut(description ?? title ?? '', maxDescription),
    agent: agent === undefined ? null : shorten(agent, maxAgentName),
    human_steps: memberOf(task, 'human_steps', 'human_step'),
    waits_for: memberOf(task, 'waits_for'),
  };
}

/** Models that fall into a loop say the same task again and again. One with the same title and another description is another. */
function distinct(tasks: unknown[] | undefined): unknown[] | undefined {
  return tasks && [...new Map(tasks.map((task) => [JSON.stringify(task), task])).values()];
}

const skillsRule = `- For each number under human_steps, whether you plan a subtask for it or not, \`step_skills\` has those of the list of skills
  that its person needs: mostly one, several only when one person must have them all, and none when no skill of the list is about it.`;

/** `skills` are what the people of the account know, and empty where no step is to be given any. */
export function splitTasksPrompt(run: {
  task: string;
  agents: string[];
  human_steps: string[];
  files: Material[];
  skills?: string[];
}) {
  const { skills = [] } = run;
  const isChosen = skills.length > 0;
  return {
    system: `You are Orchflow's planner.
You split a goal into 3 to 6 subtasks that agents and people work on, many of them in parallel.
- Each subtask has one clear result that someone else can use. Together they reach the goal; none repeats another.
- The title is short and names the work ("Research competing channels"). The description says in two or three
  sentences what to produce and what matters.
- \`agent\` is the name of the best suited agent from the list, or null.
- Do not plan a subtask that only collects the results: that happens at the end by itself.
- Every step listed under human_steps is done by a person: plan one subtask for it, with the words of that step in its title
  and its number in \`human_steps\`. Only when a step is no more than a person's yes to other subtasks, plan none for it, and
  put its number in \`waits_for\` of each subtask that must not begin before that yes. Both lists are mostly empty.
${isChosen ? `${skillsRule}\n` : ''}${dataRule}`,
    prompt: parts(
      block('goal', run.task),
      materialBlocks(run.files),
      listBlock('agents', run.agents),
      listBlock(
        'human_steps',
        run.human_steps.map((step, index) => `${index + 1}: ${step}`),
      ),
      listBlock('skills', skills),
      `Split the goal. Answer with JSON only: {"tasks": [{"title": "…", "description": "…", "agent": "…", "human_steps": [], "waits_for": []}]${isChosen ? ', "step_skills": {"1": []}' : ''}}`,
    ),
  };
}
