import { z } from 'zod';
import { line, text } from '../fields.ts';

/** What clients label a run with, in every surface. */

export const maxLabels = 20;
export const tag = line(50);
const key = line(64).refine((name) => !name.includes(':'), 'must have no colon');

export const labelsShape = {
  metadata: z
    .record(key, text(0, 500))
    .refine((pairs) => Object.keys(pairs).length <= maxLabels, `must have at most ${maxLabels} members`)
    .default({})
    .meta({ description: 'Pairs of your own, to find the run by: 20 at most.', example: { customer: 'c_17' } }),
  tags: z
    .array(tag)
    .max(maxLabels)
    .default([])
    .refine((tags) => new Set(tags).size === tags.length, 'must be different')
    .meta({ description: 'Words of your own, to find the run by.', example: ['launch'] }),
};
