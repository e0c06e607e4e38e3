import type { Db } from '../../db/index.ts';
import { resolveSkills, type SkillPackage } from '../agents/skill-packages.ts';
import { DomainError, InvalidInputError } from '../errors.ts';
import type { Called } from './called.ts';

/** Which skill packages a call asks for: these beside the agent's own, `only` these, or `none`. */
export type SkillsAsked = { add: string[]; only?: string[]; none: boolean };

/** What skills may add to a prompt, in characters. */
const mostText = 200_000;

/**
 * The prompt of an agent with the texts and files of skill packages added to it: its own, and those that the call asks for. They are
 * looked for as who calls sees them, but its own as its author does. `is_closed`: a skill is in it that who calls may use, and not
 * read. Throws `SKILLS_LOCKED` where the call may not change them, `InvalidInputError` where they are too long together, and what
 * `resolveSkills` throws.
 */
export async function withSkills(
  db: Db,
  { spec, name, owner_id, seer }: Pick<Called, 'spec' | 'name' | 'owner_id' | 'seer'>,
  asked: SkillsAsked,
): Promise<{ system_prompt: string | null; is_closed: boolean }> {
  const { default_skills = [], skills_locked = false } = spec.package ?? {};
  const isAsked = asked.none || asked.only !== undefined || asked.add.length > 0;
  if (isAsked && skills_locked)
    throw new DomainError('SKILLS_LOCKED', `The skills of ${name} are locked by its author.`);
  const unchanged = { system_prompt: spec.system_prompt, is_closed: false };
  if (asked.none) return unchanged;
  const own = asked.only ? [] : await resolveSkills({ db }, { account_id: owner_id }, default_skills);
  const others = await resolveSkills({ db }, { account_id: seer }, [...(asked.only ?? []), ...asked.add]);
  const all = new Map([...own, ...others].map((skill) => [skill.ref.toLowerCase(), skill]));
  if (all.size === 0) return unchanged;
  const texts = [...all.values()].map(textOf).join('\n\n');
  if (texts.length > mostText) {
    const detail = `must have at most ${mostText} characters together, and the agent's with them have more`;
    throw new InvalidInputError([{ path: ['skills'], detail }]);
  }
  const prompt = spec.system_prompt?.trim() || `You are an expert ${spec.name}.`;
  const system_prompt = `${prompt}\n\nYou have these skills. Follow them where they apply.\n\n${texts}`;
  return { system_prompt, is_closed: [...all.values()].some((skill) => skill.is_closed) };
}

function textOf({ ref, prompt, files }: SkillPackage): string {
  const more = files.map(({ path, content }) => `<file path=${JSON.stringify(path)}>\n${content}\n</file>`);
  return [`<skill ref=${JSON.stringify(ref)}>`, prompt, ...more, '</skill>'].join('\n');
}
