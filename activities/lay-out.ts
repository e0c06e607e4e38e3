import type { AskedAbout, HumanGate, Run } from '../db/schema.ts';
import { gatesOfTask } from '../src/runs/gate-terms.ts';
import { matchesGate } from '../src/runs/gate-words.ts';
import type { PlannedTask } from '../workflows/contract/inputs.ts';
import { aboutOf, gateName, maxAsked } from '../workflows/contract/plan.ts';

/** How the tasks that a model plans become the tasks of a run. */

/** A task as the model plans it. Human steps are named by number, counted from 1 as in the prompt. */
export type Draft = {
  title: string;
  description: string;
  agent: string | null;
  /** The steps that this task is. */
  human_steps?: number[];
  /** The steps that this task must wait for. */
  waits_for?: number[];
};

/** What the model says that the person of a step needs, by its number. */
export type ChosenSkills = { human_step: number; skills: string[] }[];

/** What a title must not have: it stands in lines of people's lists. */
const unseen = /[\s\p{Cc}\u202a-\u202e\u2066-\u2069]+/gu;

/** `skills` are those that a person needs for it, and missing where none are asked for. */
type Row = PlannedTask & { description: string; skills?: string[] };
/** `skills` undefined: it says nothing of them, and has those that were `chosen`. */
type Gate = { name: string; human_gate: number; skills: string[] | undefined; chosen: string[] };
type Asked = Pick<Run, 'ask_me_about' | 'human_gates' | 'gate_due_in' | 'remind_every' | 'on_timeout'> &
  Pick<Run, 'escalation_webhook_url'>;

/**
 * Adds the human tasks to the plan: the questions first, the gates that no task answers to last. A gate that is asked for
 * by other tasks stands before them, others before the final output. A gate that does not say which skills it
 * takes has those that were chosen for it.
 */
export function layOut(drafts: Draft[], run: Asked, chosen: ChosenSkills = []): { tasks: Row[]; warnings: string[] } {
  const gates = run.human_gates.map((gate, human_gate): Gate => ({
    name: gateName(gate),
    human_gate,
    skills: skillsOf(gate),
    chosen: chosen.flatMap(({ human_step, skills }) => (human_step === human_gate + 1 ? skills : [])),
  }));
  const answering = new Map(gates.map((gate) => [gate, answeringTasks(drafts, gate)]));
  const questions = askFor(run.ask_me_about);
  const idOf = (draft: Draft) => `T${questions.length + drafts.indexOf(draft) + 1}`;

  const planned = drafts.map((draft): Row => {
    const { description, agent } = draft;
    const title = draft.title.replaceAll(unseen, ' ').trim();
    const own = gates.filter((gate) => answering.get(gate)!.includes(draft));
    const task = { id: idOf(draft), title, agent, kind: own.length > 0 ? 'human' : 'ai', place: 'planned' } as const;
    const several = own.length > 1 ? `${description}\n\nIt answers to ${listNames(own)}.` : description;
    const guards = drafts
      .filter((other) => other !== draft && own.some((gate) => names(other.waits_for, gate)))
      .map(idOf);
    return {
      ...task,
      description: several,
      ...(guards.length > 0 && { guards }),
      ...askedOf(run, own),
    };
  });
  const missing = gates.filter((gate) => answering.get(gate)!.length === 0);
  const added = missing.map((gate, index): Row => {
    const guards = drafts.filter((draft) => names(draft.waits_for, gate)).map(idOf);
    return {
      id: `T${questions.length + drafts.length + index + 1}`,
      title: gate.name,
      description: `A person was asked for: ${gate.name}.`,
      kind: 'human',
      agent: null,
      place: guards.length > 0 ? 'guard' : 'end',
      guards,
      ...askedOf(run, [gate]),
    };
  });
  return { tasks: [...questions, ...planned, ...added], warnings: planned.flatMap((task) => toldOf(task, gates)) };
}

/**
 * Those in whose title the words of the gate stand, whatever the planner says: no agent does what a person was asked for.
 * And the one that the planner says, who may have written in another language; several only where the words stand in none.
 */
function answeringTasks(drafts: Draft[], gate: Gate): Draft[] {
  const byWords = drafts.filter(({ title }) => matchesGate(gate.name, title));
  const named = drafts.filter(({ human_steps }) => names(human_steps, gate));
  return byWords.length === 0 || named.length === 1 ? [...new Set([...byWords, ...named])] : byWords;
}

function names(steps: number[] | undefined, { human_gate }: Gate): boolean {
  return steps?.includes(human_gate + 1) ?? false;
}

/** What a task is that answers to these gates: all that they ask for together, and of what was chosen as much as fits. */
function askedOf(run: Asked, gates: Gate[]) {
  const numbers = gates.map(({ human_gate }) => human_gate);
  const said = gates.map(({ skills }) => skills);
  const others = gates.map(({ skills, chosen }) => (skills ? [] : chosen));
  return { ...gatesOfTask(run, numbers), ...allSkills([...said, ...others]) };
}

function skillsOf(asked: HumanGate | AskedAbout): string[] | undefined {
  return typeof asked === 'string' ? undefined : asked.skills;
}

/** Whether a person may be asked of whom nothing is said. */
export function leavesSkillsOpen({ human_gates }: Pick<Run, 'human_gates'>): boolean {
  return human_gates.some((gate) => skillsOf(gate) === undefined);
}

function allSkills(asked: (string[] | undefined)[]): { skills?: string[] } {
  const skills = [...new Set(asked.flatMap((some = []) => some))].slice(0, maxAsked);
  return skills.length > 0 ? { skills } : {};
}

/** Several gates at one task: whose terms hold must be known to who reads the run. */
function toldOf({ id, human_gates = [] }: Row, gates: Gate[]): string[] {
  if (human_gates.length < 2) return [];
  const own = gates.filter(({ human_gate }) => human_gates.includes(human_gate));
  return [`${id} answers to ${listNames(own)}: the strictest of their terms hold.`];
}

function listNames(gates: Gate[]): string {
  const named = gates.slice(0, 3).map(({ name }) => `"${name}"`);
  const rest = gates.length - named.length;
  return `${gates.length} human gates: ${named.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

function askFor(asked: AskedAbout[]): Row[] {
  if (asked.length === 0) return [];
  const description = `Please tell us about:\n${asked.map((one) => `- ${aboutOf(one)}`).join('\n')}`;
  const task = { id: 'T1', title: 'Give the missing context', description, kind: 'human', place: 'start' } as const;
  return [{ ...task, agent: null, ...allSkills(asked.map(skillsOf)) }];
}
