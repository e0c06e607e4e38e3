/** How the demo model plans: by the goal's own words, the same way every time. */

type Stage = 'research' | 'analysis' | 'making' | 'review';
const STAGES: Stage[] = ['research', 'analysis', 'making', 'review'];

/** Verbs that begin a step, by the stage of work that they announce. */
const VERBS: Record<Stage, string> = {
  research:
    'research find search collect gather investigate explore study survey interview identify list read scan discover ' +
    'benchmark monitor audit inspect look learn check scrape inventory',
  analysis:
    'analyse analyze compare extract define decide evaluate assess choose select prioritise prioritize rank map estimate ' +
    'calculate measure classify cluster position determine derive model score segment recommend diagnose interpret',
  making:
    'write draft design produce create build make plan launch develop prepare generate outline compose propose implement ' +
    'set turn suggest describe document explain summarise summarize translate schedule organise organize migrate publish ' +
    'send give tell show add update fix improve run test deploy',
  review: 'review edit proofread approve confirm verify validate polish finalise finalize sign finish refine critique',
};
const STAGE_OF_VERB = new Map(STAGES.flatMap((stage) => VERBS[stage].split(' ').map((verb) => [verb, stage] as const)));

const AGENTS: Record<Stage, RegExp> = {
  research: /research|scout|search|data|librarian|investigat/i,
  analysis: /analy|strateg|architect|financ|scien|product|plan/i,
  making: /writ|copy|content|draft|author|design|engineer|develop|cod|market|build/i,
  review: /review|edit|quality|qa|critic|legal|secur|writ/i,
};

export type PlannedTask = { title: string; description: string; agent: string | null; human_steps: number[] };

/** 3 to 6 tasks out of the goal, and one more for each step that a person does and that none of them names. */
export function planTasks(goal: string, agents: string[], humanSteps: string[]): PlannedTask[] {
  const people = humanSteps.slice(0, 5).map((step) => shorten(sentenceCase(step), 120));
  const titles = completed(stepsOf(goal), shorten(withoutEnd(goal), 60)).slice(0, Math.max(3, 8 - people.length));
  const uncovered = people.filter((step) => !titles.some((title) => containsWords(title, step)));
  const stepsIn = (title: string) => people.flatMap((step, index) => (containsWords(title, step) ? [index + 1] : []));
  return [...titles, ...uncovered].map((title, index) => ({
    title,
    description: `${title}, as a part of the goal: ${shorten(goal, 400)} (Planned by Orchflow's offline demo model.)`,
    agent: stepsIn(title).length > 0 ? null : agentFor(title, index, agents),
    human_steps: stepsIn(title),
  }));
}

/** The goal's own steps, at most 6: parts of its sentences that begin with a verb that we know. */
function stepsOf(goal: string): string[] {
  const sentences = goal.split(/[.!?;:](?=\s|$)|\n+/).map((sentence) => sentence.replace(LEAD_IN, ''));
  const steps = sentences.flatMap(partsOf).filter(isStep);
  const titles = [...new Set(steps.map((step) => shorten(sentenceCase(withoutEnd(step)), 120)))];
  // "Plan X. Research …, extract …": the first sentence is then the whole, not one of its steps.
  if (titles.length > 4 && stageOf(titles[0]!) === 'making' && stageOf(titles[1]!) === 'research') titles.shift();
  return titles.slice(0, 6);
}

const LEAD_IN =
  /^[\s\-*•\d.)]*(?:(?:please|help (?:me|us)(?: to)?|(?:I|we) (?:want|need|would like)(?: you)? to)\s+)?/i;
const SEPARATOR = /(,?\s+(?:and then|and|then)\s+|,\s+)/i;

/** "Compare price and quality, then write a report" is two parts: only before a step is there a cut. */
function partsOf(sentence: string): string[] {
  const [first = '', ...pieces] = sentence.split(SEPARATOR);
  const parts = [first];
  for (let at = 0; at < pieces.length; at += 2) {
    const [separator = '', part = ''] = pieces.slice(at, at + 2);
    if (isStep(part) && parts.at(-1)!.includes(' ')) parts.push(part);
    else parts[parts.length - 1] += separator + part;
  }
  return parts;
}

function isStep(part: string): boolean {
  return stageOfVerb(part) !== undefined && part.trim().includes(' ');
}

function completed(steps: string[], subject: string): string[] {
  if (steps.length >= 3) return steps;
  const has = (stage: Stage) => steps.some((step) => stageOf(step) === stage);
  const named = `“${subject}”`;
  return [
    ...(has('research') ? [] : [`Research the background of ${named}`]),
    ...(steps.length < 2 && !has('analysis') ? [`Analyse the options for ${named}`] : []),
    ...(steps.length ? steps : [`Draft the result of ${named}`]),
    ...(has('review') ? [] : [`Review the result of ${named}`]),
  ];
}

/**
 * Each task needs all tasks of the nearest earlier stage that has any: research side by side, then analysis, and so on.
 * When all are of one stage, the last one waits for the others. Never a cycle.
 */
export function inferDependencies(tasks: { id: string; title: string }[]): { task_id: string; depends_on: string[] }[] {
  const levels = tasks.map(({ title }) => STAGES.indexOf(stageOf(title)));
  const oneStage = new Set(levels).size === 1;
  return tasks.map(({ id }, index) => {
    const earlier = levels.filter((level) => level < levels[index]!);
    const nearest = Math.max(...earlier);
    const before = tasks.filter((_, other) => earlier.length > 0 && levels[other] === nearest);
    const depends_on = oneStage && index === tasks.length - 1 ? tasks.slice(0, -1) : before;
    return { task_id: id, depends_on: depends_on.map((task) => task.id) };
  });
}

function stageOfVerb(text: string): Stage | undefined {
  return STAGE_OF_VERB.get(/^\s*([a-z]+)/i.exec(text)?.[1]?.toLowerCase() ?? '');
}

function stageOf(title: string): Stage {
  if (stageOfVerb(title)) return stageOfVerb(title)!;
  return /\b(approv|review|sign|confirm|final)/i.test(title) ? 'review' : 'making';
}

function agentFor(title: string, index: number, agents: string[]): string | null {
  const named = agents.find((agent) => containsWords(title, agent));
  const fitting = agents.find((agent) => AGENTS[stageOf(title)].test(agent));
  return named ?? fitting ?? agents[index % agents.length] ?? null;
}

function containsWords(title: string, words: string): boolean {
  const present = new Set(wordsOf(title));
  const wanted = wordsOf(words);
  return wanted.length > 0 && wanted.every((word) => present.has(word));
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

function withoutEnd(text: string): string {
  return text.trim().replace(/[.!?,;:\s]+$/, '');
}

function sentenceCase(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** At most `limit` characters on one line, cut between words. */
export function shorten(text: string, limit: number): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  if (line.length <= limit) return line;
  return `${line.slice(0, limit - 1).replace(/\s+\S*$/, '')}…`;
}
