import { z } from 'zod';
import { maxAsked } from '../../workflows/contract/plan.ts';
import { line } from '../fields.ts';

/** So many a person may have. */
const maxOwn = 50;

/** Folded, so that "Legal" and "legal" are one. */
export const skill = line(64).transform((given) => given.normalize('NFC').trim().toLowerCase());

function skills(max: number) {
  return z
    .array(skill)
    .max(max)
    .transform((given) => [...new Set(given)]);
}

/** What is wrong when gates that may meet in one task ask for more than one person may be asked for; undefined when nothing is. */
export function tooManyAsked(asked: (string | { skills?: string[] | undefined })[]): string | undefined {
  const all = new Set(asked.flatMap((one) => (typeof one === 'string' ? [] : (one.skills ?? []))));
  return all.size > maxAsked ? `must ask for at most ${maxAsked} skills together` : undefined;
}

/** Those of a person. */
export const ownSkills = skills(maxOwn).meta({
  description: 'What they know; "Legal" and "legal" are one.',
  example: ['legal', 'tax'],
});

/** Those that a gate asks for, in every surface. */
export const askedSkills = skills(maxAsked).meta({
  description:
    'It is assigned to the active person who has all of them and the fewest open gates; as long as nobody has, it waits for ' +
    'somebody, with a warning. Without any it is answered by keys of the account.',
  example: ['legal'],
});
