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
    .regex(/^\d{1,9}(-done)?$/, 'is not an `id` of this stream')
    .transform((text) => ({ seq: Number.parseInt(text), isDone: text.endsWith('-done') }))
    .optional()
    .meta({
      type: 'string',
      pattern: '^\\d{1,9}(-done)?$',
      description: 'The last `id` that was seen.',
      example: '7',
    }),
});
