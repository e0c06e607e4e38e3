import { z } from 'zod';
import { isStorable, unstorable } from '../../workflows/contract/form.ts';
import { line, members, text } from '../fields.ts';

/** What clients label a run with, in every surface. */

const maxLabels = 20;
const tag = line(50);
const key = line(64).refine((name) => !name.includes(':'), 'must have no colon');

/** Of a run that is changed: in place of all that it had. */
export const newLabelsShape = {
  metadata: members(key, text(0, 500), maxLabels)
    .optional()
    .meta({ description: 'Pairs of your own, to find the run by: 20 at most.', example: { customer: 'c_17' } }),
  tags: z
    .array(tag)
    .max(maxLabels)
    .refine((tags) => new Set(tags).size === tags.length, 'must be different')
    .optional()
    .meta({ description: 'Words of your own, to find the run by.', example: ['launch'] }),
};

export const labelsShape = {
  metadata: newLabelsShape.metadata.default({}),
  tags: newLabelsShape.tags.default([]),
};

/** Given once or several times. */
function repeated<T extends z.ZodType<string, string>>(schema: T) {
  return z.preprocess((given) => (typeof given === 'string' ? [given] : given), z.array(schema).max(maxLabels));
}

const pair = z
  .string()
  .refine((value) => value.indexOf(':') > 0, 'must be a key and a value with a colon between them')
  .refine(isStorable, unstorable);

/** What lists of runs are filtered by. */
export const labelFilterShape = {
  tag: repeated(tag).optional().meta({ description: 'Given several times, the runs that have all of them.' }),
  metadata: repeated(pair)
    .optional()
    .meta({
      description: 'A key and its value; given several times, the runs that have all of them.',
      example: ['customer:c_17'],
    }),
};

/** The same pairs, taken apart at their first colon. */
export function labelsOf({ tag: tags, metadata = [] }: { tag?: string[]; metadata?: string[] }) {
  const pairs = metadata.map((pair) => [pair.slice(0, pair.indexOf(':')), pair.slice(pair.indexOf(':') + 1)] as const);
  return { tags, metadata: pairs };
}
