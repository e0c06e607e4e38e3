import { insertPlannedTasks } from '../db/tasks.ts';
import { chain, graphFault } from '../workflows/contract/graph.ts';
import { gateName, matchesGate } from '../workflows/contract/plan.ts';
import type { HumanGate } from '../db/schema.ts';
import type { PlannedTask } from '../workflows/contract/inputs.ts';
import type { Progress } from '../workflows/contract/states.ts';
import type { ActivityDeps } from './deps.ts';
import { askForJson, atWork } from './model.ts';
import { inferDepsAnswer, inferDepsPrompt } from './prompts/infer-deps.ts';
import { splitTasksAnswer, splitTasksPrompt } from './prompts/split-tasks.ts';

const minTasks = 3;
const maxTasks = 6;

type Draft = Omit<PlannedTask, 'id'> & { description: string };

export function createPlanningActivities(deps: ActivityDeps) {
  const { db } = deps;
  return {
    /** Splits the goal into tasks, with those that `ask_me_about` and `human_gates` add, and stores their descriptions. */
    splitTasks: (input: {
      run_id: string;
      progress?: Progress;
    }): Promise<{ tasks: PlannedTask[]; warnings: string[] }> =>
      atWork(deps, input, [], async (work) => {
        const { run } = work;
        const agents = run.agents.map((agent) => agent.name);
        const prompt = splitTasksPrompt({ task: run.task, agents, human_steps: run.human_gates.map(gateName) });
        const plan = await askForJson(
          deps,
          { work, task_id: null, purpose: 'split_tasks', attempt: 1, request: { ...prompt, max_output_tokens: 4_096 } },
          splitTasksAnswer,
          ({ tasks }) => planFault(tasks.length, run.human_gates.length),
        );
        const drafts = layOut(plan?.value.tasks ?? fallbackPlan(), run);
        const rows = drafts.map((draft, index) => ({ ...draft, id: `T${index + 1}` }));
        await insertPlannedTasks(db, input.run_id, rows);
        return {
          tasks: rows.map(({ description: _description, ...task }) => task),
          warnings: plan
            ? plan.warnings
            : ['The model gave no usable plan, so the run follows a plain one: gather, work, check.'],
        };
      }),

    /** Infers which planned tasks need the results of which others. Always returns a graph without cycles. */
    inferDeps: (input: {
      run_id: string;
      tasks: { id: string; title: string }[];
      progress?: Progress;
    }): Promise<{ dependencies: { id: string; depends_on: string[] }[]; warnings: string[] }> =>
      atWork(deps, input, [], async (work) => {
        const { run } = work;
        const prompt = inferDepsPrompt({ task: run.task, tasks: input.tasks });
        const ids = input.tasks.map((task) => task.id);
        const answer = await askForJson(
          deps,
          { work, task_id: null, purpose: 'infer_deps', attempt: 1, request: { ...prompt, max_output_tokens: 2_048 } },
          inferDepsAnswer,
          ({ dependencies }) => dependencyFault(ids, dependencies),
        );
        if (!answer) {
          const warnings = ['The model gave no usable dependencies, so the tasks run one after another.'];
          return { dependencies: chain(ids), warnings };
        }
        return { dependencies: toGraph(ids, answer.value.dependencies), warnings: answer.warnings };
      }),
  };
}

function planFault(count: number, humanSteps: number): string | undefined {
  if (count >= minTasks && count <= maxTasks + humanSteps) return undefined;
  return `it has ${count} tasks, and ${minTasks} to ${maxTasks + humanSteps} are asked for.`;
}

function fallbackPlan() {
  return [
    {
      title: 'Gather what is needed',
      description: 'Collect the facts, options and constraints that the goal calls for.',
      agent: null,
    },
    { title: 'Do the work', description: 'Produce what the goal asks for, from what was gathered.', agent: null },
    {
      title: 'Check and improve',
      description: 'Review the work against the goal and write the improved version.',
      agent: null,
    },
  ];
}

/** Adds the human tasks to the plan: questions first; planned tasks that a gate names; gates that name none, last. */
function layOut(
  planned: { title: string; description: string; agent: string | null }[],
  run: { ask_me_about: string[]; human_gates: HumanGate[] },
): Draft[] {
  const gates = run.human_gates.map((gate, human_gate) => ({ name: gateName(gate), human_gate }));
  const gateOf = (task: { title: string }) => gates.find(({ name }) => matchesGate(name, task.title));
  const questions: Draft[] = run.ask_me_about.length
    ? [
        {
          title: 'Give the missing context',
          description: describeQuestions(run.ask_me_about),
          kind: 'human',
          place: 'start',
          agent: null,
        },
      ]
    : [];
  const unmatched = gates.filter(({ name }) => !planned.some((task) => matchesGate(name, task.title)));
  return [
    ...questions,
    ...planned.map((task): Draft => {
      const gate = gateOf(task);
      const title = task.title.replaceAll(/\s+/g, ' ');
      return { ...task, title, kind: gate ? 'human' : 'ai', place: 'planned', human_gate: gate?.human_gate };
    }),
    ...unmatched.map(({ name, human_gate }): Draft => ({
      title: name,
      description: `A person was asked for: ${name}.`,
      kind: 'human',
      place: 'end',
      agent: null,
      human_gate,
    })),
  ];
}

function describeQuestions(questions: string[]): string {
  return `Please tell us about:\n${questions.map((question) => `- ${question}`).join('\n')}`;
}

type Inferred = { task_id: string; depends_on: string[] }[];

function toGraph(ids: string[], inferred: Inferred) {
  const dependsOn = new Map(inferred.map((entry) => [entry.task_id, entry.depends_on]));
  return ids.map((id) => ({ id, depends_on: [...new Set(dependsOn.get(id) ?? [])] }));
}

function dependencyFault(ids: string[], inferred: Inferred): string | undefined {
  const seen = new Set<string>();
  for (const { task_id } of inferred) {
    if (!ids.includes(task_id)) return `${JSON.stringify(task_id)} is not a task.`;
    if (seen.has(task_id)) return `${task_id} is listed twice.`;
    seen.add(task_id);
  }
  return graphFault(toGraph(ids, inferred));
}
