import { z } from 'zod';
import { line, members, text } from '../fields.ts';

/** What clients label a run with, in every surface. */

export const maxLabels = 20;
export const tag = line(50);
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
