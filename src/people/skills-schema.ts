import { z } from 'zod';
import { line } from '../fields.ts';

/** So many a gate may ask for, and so many people may have. */
const maxAsked = 20;
const maxOwn = 50;

/** Folded, so that "Legal" and "legal" are one. */
export const skill = line(64).transform((given) => given.normalize('NFC').trim().toLowerCase());

function skills(max: number) {
  return z
    .array(skill)
    .max(max)
    .transform((given) => [...new Set(given)]);
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
