import { z } from 'zod';
import { requestObject, text, timestamp, url } from '../../../fields.ts';
import { newLabelsShape } from '../../../runs/labels-schema.ts';
import { beginsShape, startTimeShape } from '../../../runs/start-time-schema.ts';
import { budgetShape } from '../../../agents/budget-schema.ts';
import { gateTermsShape, onTimeout } from '../../../runs/terms-schema.ts';
import { remarkShape } from '../../../runs/remark-schema.ts';

/** Why, of what needs nothing else. */
export const remarkSchema = requestObject(remarkShape).meta({ id: 'Remark' });

export const runHeldSchema = z
  .object({
    run_id: z.string(),
    held_at: timestamp.nullable().meta({ description: 'Since when it is held; null: it goes on.' }),
    ...beginsShape,
    message: z.string(),
  })
  .meta({ id: 'RunHeld' });

/** What a run may spend, and how long its gates wait for people. */
const termsShape = { ...budgetShape, ...gateTermsShape, on_timeout: onTimeout.optional() };

export const changeRunSchema = requestObject({
  ...newLabelsShape,
  webhook_url: url().optional().meta({ description: 'In place of the one that it was started with.' }),
  ...termsShape,
  start_at: startTimeShape.start_at.meta({
    description: 'When it begins instead, until it has begun. One that waits for a place loses its turn.',
  }),
  start_in: startTimeShape.start_in.meta({ description: 'The same, from now.' }),
  ...remarkShape,
}).meta({ id: 'ChangeRun', description: 'What is not given stays as it is.' });

const warnings = z.array(z.string()).meta({
  description: 'Which gates do not go by the new terms, for they have terms of their own.',
  example: ['`human_gates/0` ("legal approval") keeps its own `gate_due_in`.'],
});

export const retryRunSchema = requestObject({ ...termsShape, ...remarkShape }).meta({
  id: 'RetryRun',
  description: 'Limits and terms hold from then on, in place of those that the run had.',
});

export const runRetriedSchema = z
  .object({
    run_id: z.string(),
    status: z.literal('pending'),
    attempt: z.int().meta({ description: 'Of the run: the first time is 1.' }),
    ...beginsShape,
    warnings,
    message: z.string(),
  })
  .meta({ id: 'RunRetried' });

export const runChangedSchema = z
  .object({
    run_id: z.string(),
    start_at: timestamp.optional().meta({ description: 'When it begins by now, where the request changes that.' }),
    warnings,
    message: z.string(),
  })
  .meta({ id: 'RunChanged' });

export const retryTaskSchema = requestObject({
  feedback: text(1, 100_000).optional().meta({ description: 'What is to be done differently.' }),
  ...remarkShape,
}).meta({ id: 'RetryTask' });

export const correctTaskSchema = requestObject({
  output: text(1, 100_000).meta({ description: 'In place of the output that stands.' }),
  ...remarkShape,
}).meta({ id: 'CorrectTask' });

export const skipTaskSchema = requestObject({
  output: text(1, 100_000)
    .optional()
    .meta({ description: 'What the tasks after it build on instead. Nothing unless given.' }),
  ...remarkShape,
}).meta({ id: 'SkipTask' });

export const taskSteeredSchema = z
  .object({
    run_id: z.string(),
    task_id: z.string(),
    redone: z.array(z.string()).meta({ description: 'The tasks that are done again.', example: ['T2', 'T4'] }),
    cancelled: z.array(z.string()),
    message: z.string(),
  })
  .meta({ id: 'TaskSteered' });
