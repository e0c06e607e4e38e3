import { z } from 'zod';
import { queryNumber } from '../../../http/query.ts';

const maxSeq = 2 ** 31 - 1;

export const runEventsQuery = z.object({
  after: queryNumber(
    z.int().min(0).max(maxSeq).default(0).meta({
      description: 'The last `seq` that was seen. `Last-Event-ID` goes before it.',
      example: 7,
    }),
  ),
});

export const runEventsHeaders = z.object({
  'last-event-id': z
    .string()
    .transform((text) => /^(?<seq>\d{1,9})(?<done>-done)?$/.exec(text)?.groups)
    .transform((id) => id && { seq: Number(id.seq), isDone: id.done !== undefined })
    .optional()
    .meta({
      type: 'string',
      description:
        'The last `id` that was seen. Another text, and an empty one, counts as none; one beyond the end as the last.',
      example: '7',
    }),
});
