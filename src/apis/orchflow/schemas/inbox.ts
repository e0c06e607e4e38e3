import { z } from 'zod';
import { id, timestamp } from '../../../fields.ts';
import { cursor, limit } from '../../../http/cursor.ts';
import { skill } from '../../../people/skills-schema.ts';
import { runKind } from './run.ts';
import { assigneeSchema, assignment_note, decisionSchema, formFieldSchema, gateKind } from './task.ts';

export const inboxQuery = z.object({
  limit,
  cursor,
  person_id: id.optional().meta({ description: 'What is assigned to them.' }),
  skill: skill.optional().meta({ description: 'What asks for it.' }),
  kind: gateKind.optional(),
  overdue: z.enum(['true', 'false']).optional().meta({ description: 'What was due before now, or what was not.' }),
});

export const inboxItemSchema = z
  .object({
    gate_id: z.string(),
    run_id: z.string(),
    run_kind: runKind,
    task_id: z.string(),
    kind: gateKind,
    goal: z.string().meta({ description: 'What the run is for.' }),
    title: z.string(),
    question: z.string().meta({ description: 'What a person is asked, or what the task is about.' }),
    reason: z.string().nullable(),
    context: z.string().nullable().meta({ description: 'Of a `human_step`: what it shows beside its question.' }),
    fields: z.array(formFieldSchema).nullable().meta({ description: 'Of a `human_step`: what is filled in.' }),
    decisions: z.array(decisionSchema),
    draft: z.string().nullable().meta({
      description: 'The output that waits for a decision; at a `tool_approval` the arguments of the call.',
    }),
    material: z
      .array(z.object({ task_id: z.string(), title: z.string(), output: z.string() }))
      .meta({ description: 'What the tasks before it have made, and what people have answered there.' }),
    skills: z.array(z.string()),
    person: assigneeSchema,
    assigned_at: timestamp.nullable(),
    assignment_note,
    opened_at: timestamp,
    due_at: timestamp.nullable(),
    overdue: z.boolean(),
  })
  .meta({ id: 'InboxItem', description: 'What waits for a person, with what they need to decide.' });

export const inboxSchema = z
  .object({ gates: z.array(inboxItemSchema), has_more: z.boolean(), next_cursor: z.string().nullable() })
  .meta({ id: 'Inbox' });
