import { z } from 'zod';
import { pendingFor } from '../../db/run-queue.ts';
import { duration, moment, timestamp } from '../fields.ts';

/** When a run begins: what every surface asks for in the same way. Not both. */
export const startTimeShape = {
  start_at: moment.optional().meta({
    description: 'When it begins, at most 365 days from now. At once unless given, and where the time is over already.',
    example: '2026-11-23T06:00:00+01:00',
  }),
  start_in: duration()
    .optional()
    .meta({ description: 'How long after it is accepted it begins, in place of `start_at`.', example: '2h' }),
};

/** What answers say of a run that has not begun. */
export const beginsShape = {
  pending_for: z.enum(pendingFor).optional().meta({ description: 'Of a run that has not begun: what it waits for.' }),
  start_at: timestamp.optional().meta({ description: 'When it begins, where that was asked for.' }),
};
