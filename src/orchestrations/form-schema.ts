import { z } from 'zod';
import { fieldTypes, type FieldBounds } from '../../workflows/contract/field-values.ts';
import { orNull, requestObject, text } from '../fields.ts';

/** What a person fills in at a human step, as it is defined and as it is shown. */

export const stateKey = z
  .string()
  .regex(/^[A-Za-z]\w{0,63}$/, 'must be 1 to 64 letters, digits or _, and begin with a letter');

const count = (most: number, description: string) => z.int().min(0).max(most).meta({ description });

/** What bounds the value of a field, both ends included. */
const bounds = {
  min: z.number().meta({ description: 'The least that a `number` or `integer` may be.' }),
  max: z.number().meta({ description: 'The most that a `number` or `integer` may be.' }),
  min_items: count(100, 'How many options of a `multi_select` must be chosen, when any is.'),
  max_items: count(100, 'How many options of a `multi_select` may be chosen.'),
  min_length: count(100_000, 'How many characters a `text` or `textarea` must have, when it has any.'),
  max_length: count(100_000, 'How many characters a `text` or `textarea` may have.'),
} satisfies Record<keyof FieldBounds, z.ZodType>;

export const fieldBoundsShape = z.object(bounds).partial().shape;

export const humanField = requestObject({
  name: stateKey,
  type: z.enum(fieldTypes).default('text').meta({
    description:
      '`textarea` is a long text. A `date` is as 2026-01-31, a `datetime` as 2026-01-31T09:30:00Z, a `file` the id of one.',
  }),
  label: orNull(text(0, 500)),
  options: orNull(z.union([text(1, 5_000), z.array(text(1, 200)).min(1).max(100)])).meta({
    description: 'Of a `select` or `multi_select`: a list, or a text with commas.',
    example: 'approve,reject',
  }),
  ...fieldBoundsShape,
  required: z.boolean().optional().meta({ description: 'A `select` is, others are not, unless given.' }),
}).meta({ id: 'HumanField' });
