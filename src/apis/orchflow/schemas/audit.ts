import { z } from 'zod';
import { timestamp } from '../../../fields.ts';
import { attachmentSchema } from '../../../runs/attachments-schema.ts';
import { actorSchema } from '../../../runs/remark-schema.ts';
import { runKind } from './run.ts';
import { decisionSchema, gateSchema } from './task.ts';

const toolCallSchema = z
  .object({
    tool: z.string(),
    arguments: z.string().meta({ description: 'As the model wrote them.' }),
    result: z.string().nullable().meta({ description: 'Null while it is not made.' }),
    is_error: z.boolean().nullable(),
    gate_id: z.string().nullable().meta({ description: 'Where it was approved, if it had to be.' }),
    created_at: timestamp.nullable(),
  })
  .meta({ id: 'ToolCall' });

const modelCallSchema = z
  .object({
    call_id: z.string(),
    purpose: z.string().meta({ example: 'execute_task' }),
    vendor: z.string(),
    model: z.string(),
    provider_id: z.string().nullable(),
    finish: z.enum(['stop', 'length']),
    input_tokens: z.int(),
    output_tokens: z.int(),
    cost_usd: z.number().nullable(),
    text: z.string(),
    tool_calls: z.array(toolCallSchema),
    created_at: timestamp,
  })
  .meta({ id: 'ModelCall' });

const { gate_id, kind, status, reason, decisions, opened_at, due_at, answered_at, attachments } = gateSchema.shape;
const { skills, person, assigned_at, assignment_note } = gateSchema.shape;

const pastGateSchema = z
  .object({
    gate_id,
    kind,
    status,
    reason,
    decisions,
    decision: decisionSchema.nullable(),
    by: z.union([actorSchema, z.null()]),
    note: z.string().nullable().meta({ description: 'Why it was answered so.' }),
    answer: z.string().nullable().meta({ description: 'The text that was sent: answer, edit or feedback.' }),
    attachments,
    attempt: z.int().nullable().meta({ description: 'After which attempt it was opened.' }),
    skills,
    person,
    assigned_at,
    assignment_note,
    opened_at,
    due_at,
    answered_at,
  })
  .meta({ id: 'PastGate' });

export const attemptsSchema = z
  .object({
    run_id: z.string(),
    task_id: z.string(),
    title: z.string(),
    attempts: z.array(
      z
        .object({
          attempt: z.int(),
          started_at: timestamp.nullable(),
          draft: z.string().nullable(),
          evaluation: z
            .object({ passed: z.boolean(), score: z.number().nullable(), feedback: z.string() })
            .nullable()
            .meta({ description: 'Null where none was made, and of runs before 0.2.0.' }),
          calls: z.array(modelCallSchema),
        })
        .meta({ id: 'Attempt' }),
    ),
    gates: z.array(pastGateSchema),
  })
  .meta({ id: 'Attempts' });

export const auditSchema = z
  .object({
    run_id: z.string(),
    kind: runKind,
    task: z.string(),
    status: z.string(),
    started_by: z.string().nullable().meta({ description: 'The id of the key.' }),
    created_at: timestamp,
    completed_at: timestamp.nullable(),
    event_seq: z.int().meta({ description: 'The `seq` of the last of the events.' }),
    events: z.array(
      z
        .object({
          seq: z.int(),
          type: z.string(),
          created_at: timestamp,
          data: z.record(z.string(), z.unknown()).meta({
            description:
              '`run.created` of a rerun has `forked_from`, `from_task`, and as `edited` the names of `edits`.',
          }),
          texts: z.record(z.string(), z.string()).meta({
            description: 'What the event refers to, whole: `answer`, `output`, `feedback`, `arguments`, `result`.',
          }),
          attachments: z.array(attachmentSchema).meta({
            description: 'The files that came with the goal (`run.created`), or with an answer (`gate.answered`).',
          }),
        })
        .meta({ id: 'AuditEvent' }),
    ),
  })
  .meta({ id: 'Audit' });
