import { z } from 'zod';
import { line, requestObject, text, timestamp, url } from '../../../fields.ts';
import { cursor, limit } from '../../../http/cursor.ts';
import { ownSkills, skill } from '../../../people/skills-schema.ts';

const status = z.enum(['active', 'inactive']).meta({
  description: 'Who is inactive is given nothing, and their key is not taken; what they had goes to others.',
});

const given = {
  name: line(100).meta({ example: 'Anna Ito' }),
  email: z.email().max(254).nullable().optional().meta({ example: 'anna@acme.example' }),
  notify_url: url()
    .nullable()
    .optional()
    .meta({
      description:
        'Told of each gate that is assigned to them, as a subscription is: the event `gate.assigned`; and of each that is taken from them: ' +
        '`gate.unassigned`.',
      example: 'https://example.com/hooks/anna',
    }),
  max_open: z.int().min(1).max(10_000).nullable().optional().meta({
    description: 'How many open gates they are given at most. Any number unless given.',
    example: 5,
  }),
};

export const createPersonSchema = requestObject({
  ...given,
  skills: ownSkills.default([]),
  status: status.default('active'),
}).meta({ id: 'CreatePerson' });

/** Null takes away what may be missing, and is refused of the rest. */
export const updatePersonSchema = z
  .strictObject({
    ...given,
    name: given.name.optional(),
    skills: ownSkills.optional(),
    status: status.optional(),
  })
  .meta({ id: 'UpdatePerson' });

export const personListQuery = z.object({
  limit,
  cursor,
  skill: skill.optional().meta({ description: 'Those who have it.' }),
  status: z.enum(['active', 'inactive']).optional(),
});

export const personSchema = z
  .object({
    person_id: z.string().meta({ example: 'per_abc123' }),
    name: z.string(),
    email: z.string().nullable(),
    skills: z.array(z.string()),
    notify_url: z.string().nullable(),
    max_open: z.int().nullable(),
    status,
    open_gates: z.int().meta({ description: 'How many wait for them now.' }),
    key_prefix: z.string().meta({ description: 'How their key begins.', example: 'orch_4k2m' }),
    last_used_at: timestamp.nullable().meta({ description: 'Of their key, to the minute. Null: not yet.' }),
    created_at: timestamp,
  })
  .meta({ id: 'Person' });

const api_key = z.string().meta({ description: 'Shown once. Only its hash is kept.', example: 'orch_…' });

export const personWithKeySchema = personSchema.extend({ api_key }).meta({ id: 'PersonWithKey' });

export const personListSchema = z
  .object({ people: z.array(personSchema), has_more: z.boolean(), next_cursor: z.string().nullable() })
  .meta({ id: 'PersonList' });

export const personDeletedSchema = z
  .object({ person_id: z.string(), status: z.literal('deleted'), message: text(0, 200) })
  .meta({ id: 'PersonDeleted' });
