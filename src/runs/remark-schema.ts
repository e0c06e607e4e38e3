import { z } from 'zod';
import { line, text } from '../fields.ts';

/** What may be said of anything that is done to a run, in every surface. */
export const remarkShape = {
  note: text(1, 2_000)
    .optional()
    .meta({ description: 'Why, for whoever reads it later: in the gate, the events and the audit.' }),
  on_behalf_of: line(200).optional().meta({
    description: 'Which of your own users has asked for it: kept in `by`, as your key says.',
    example: 'anna@acme.example',
  }),
};

/** Who has done something to a run (`Actor` in `db/schema.ts`). */
export const actorSchema = z
  .object({
    kind: z.enum(['key', 'person', 'client', 'operator']),
    id: z
      .string()
      .nullable()
      .meta({
        description:
          'The id of the key, or of the person whose own key it is, or of the OAuth client whose access token it is, or the ' +
          'identity that the operator has in Temporal.',
      }),
    name: z.string().nullable().meta({ description: 'The name that the key, the person or the client had then.' }),
    on_behalf_of: z.string().nullable(),
  })
  .meta({ id: 'Actor', example: { kind: 'key', id: 'key_abc123', name: 'CI', on_behalf_of: 'anna@acme.example' } });
