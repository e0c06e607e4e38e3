import { z } from 'zod';
import { pendingFor } from '../../../../db/run-queue.ts';
import { attachmentSchema, attachmentsShape } from '../../../runs/attachments-schema.ts';
import { labelsShape } from '../../../runs/labels-schema.ts';
import { remarkShape } from '../../../runs/remark-schema.ts';
import { budgetShape, onBudget } from '../../../agents/budget-schema.ts';
import { fallbackProviders, gateTermsShape, onTimeout } from '../../../runs/terms-schema.ts';
import { beginsShape, startTimeShape } from '../../../runs/start-time-schema.ts';
import { askedSkills, tooManyAsked } from '../../../people/skills-schema.ts';
import { usageSchema } from '../../../runs/usage-schema.ts';
import { taskSchema } from './task.ts';
import { id, line, requestObject, text, timestamp, url } from '../../../fields.ts';
import { agentVersion } from '../../../agents/agent-schema.ts';
import { agentToolsSchema } from '../../../agents/tool-schema.ts';

const agentSchema = requestObject({
  name: line(100).optional().meta({
    description:
      'Of a registered agent of the account, else of a template, or any other. That of `agent_id` unless given.',
    example: 'research',
  }),
  agent_id: id.optional().meta({ description: 'A registered agent, whatever its name.', example: 'agt_abc123' }),
  version: agentVersion
    .optional()
    .meta({ description: 'Of a registered agent: the newest unless given. What is given beside it goes before it.' }),
  system_prompt: text(0, 20_000)
    .optional()
    .meta({ description: "The template's of this name unless given; of another name: `You are an expert NAME.`" }),
  model: line(200).optional().meta({
    description: "A model of another vendor uses the account's newest active provider of that vendor.",
    example: 'gpt-4o',
  }),
  tools: agentToolsSchema.optional(),
  max_turns: z.int().min(1).max(50).optional().meta({
    description: 'Of an agent with tools: how often its model is asked for one output. 15 unless given.',
  }),
  require_approval: z.boolean().optional().meta({ description: 'Its outputs wait for approval.' }),
});

const humanGateSchema = requestObject({
  name: text(1, 200),
  skills: askedSkills.optional(),
  ...gateTermsShape,
  on_timeout: onTimeout.optional(),
}).meta({
  id: 'HumanGate',
  description: "A gate with terms of its own, or that asks for skills. What it does not name is the run's.",
});

const askedAboutSchema = requestObject({ about: text(1, 500), skills: askedSkills.optional() }).meta({
  id: 'AskedAbout',
  description: 'What a person is asked for, who must have these skills; one person is asked for all of it.',
});

/** They may be for one person, who has the skills of all. */
function requireOnePerson(asked: (string | { skills?: string[] | undefined })[], context: z.RefinementCtx): void {
  const message = tooManyAsked(asked);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
}

/** Those that were stored by earlier releases may have null for what was not named. */
const gateOfRunSchema = z
  .object({
    name: z.string(),
    skills: z.array(z.string()).optional(),
    gate_due_in: z.string().nullish(),
    remind_every: z.string().nullish(),
    on_timeout: onTimeout.optional(),
    escalation_webhook_url: z.string().nullish(),
  })
  .meta({ id: 'HumanGateOfRun' });

export const createRunSchema = requestObject({
  task: text(1, 20_000).meta({
    description: 'The goal.',
    example: 'Plan and launch a faceless YouTube channel about AI tools for freelancers.',
  }),
  agents: z
    .array(agentSchema.meta({ id: 'Agent' }))
    .max(20)
    .default([])
    .superRefine((agents, context) => {
      const names = agents.flatMap(({ name }) => name?.toLowerCase() ?? []);
      if (new Set(names).size < names.length)
        context.addIssue({ code: 'custom', message: 'must have different names' });
      for (const [index, { name, agent_id }] of agents.entries()) {
        if (name === undefined && agent_id === undefined) {
          context.addIssue({ code: 'custom', path: [index, 'name'], message: 'is required' });
        }
      }
    })
    .meta({ description: 'The built-in templates unless given.' }),
  human_gates: z
    .array(z.union([text(1, 200), humanGateSchema]))
    .max(20)
    .superRefine(requireOnePerson)
    .default([])
    .meta({
      description:
        'Planned steps that a person does. A gate that no planned task is becomes a task of its own, before the tasks that ' +
        'must wait for it or before the final output. Of several at one task, the strictest terms hold, and it asks for the skills of all: 20 together at most.',
      example: ['legal approval'],
    }),
  ask_me_about: z
    .array(z.union([text(1, 500), askedAboutSchema]))
    .max(20)
    .superRefine(requireOnePerson)
    .default([])
    .meta({
      description:
        'What a person is asked for (task T1) before the agents begin; where skills are given, somebody who has all of them: 20 together at most.',
      example: ['brand voice', 'target audience'],
    }),
  require_approval: z.boolean().default(false).meta({ description: 'Every AI task waits for approval.' }),
  ...startTimeShape,
  webhook_url: url().optional(),
  ...gateTermsShape,
  on_timeout: onTimeout.default('wait'),
  provider_id: line(64).optional().meta({ example: 'prv_abc123' }),
  fallback_provider_ids: fallbackProviders,
  ...budgetShape,
  on_budget: onBudget.default('gate'),
  ...labelsShape,
  ...attachmentsShape,
  on_behalf_of: remarkShape.on_behalf_of,
}).meta({ id: 'CreateRun' });

export const runStatus = z.enum(['pending', 'running', 'waiting_human', 'completed', 'failed', 'cancelled']);
const phase = z.enum(['queued', 'split_tasks', 'infer_deps', 'assign_agents', 'execute', 'finalize', 'done']);

export const runStartedSchema = z
  .object({
    run_id: z.string().meta({ example: 'run_abc123' }),
    status: z.literal('pending'),
    message: z.string(),
    ...beginsShape,
  })
  .meta({ id: 'RunStarted' });

export const runKind = z.enum(['goal', 'orchestration', 'agent']);
export const runOrigin = z.enum(['orchflow', 'orchestrations', 'orchstack', 'orchagent']);

export const errorCode = z
  .string()
  .nullable()
  .meta({
    description:
      'Why it failed, as a word for programs, where there is one: `TIMEOUT`, `LLM_ERROR`, `LLM_REFUSED`, `LLM_RATE_LIMITED`, ' +
      '`BUDGET_REACHED`, `INVALID_OUTPUT`, `SANDBOX_ERROR`, `SANDBOX_TIMEOUT`, `MISSING_SECRETS` or `INTERNAL_ERROR`.',
    example: 'TIMEOUT',
  });

export const runSummaryShape = {
  run_id: z.string(),
  kind: runKind,
  origin: runOrigin
    .nullable()
    .meta({ description: 'Over which API it was started. Null of a run that 0.1.0 started.' }),
  status: runStatus,
  phase,
  task: z.string(),
  waiting_tasks: z.array(z.string()).meta({ example: ['T1'] }),
  error: z.string().nullable(),
  error_code: errorCode,
  metadata: z.record(z.string(), z.string()),
  tags: z.array(z.string()),
  orchestration_id: z.string().nullable().meta({ description: 'Of a run of an orchestration.' }),
  agent_id: z.string().nullable().meta({ description: 'Of a run of one agent, which may be deleted since.' }),
  created_at: timestamp,
  start_at: timestamp.nullable().meta({ description: 'When it was asked to begin; null: at once.' }),
  pending_for: z
    .enum(pendingFor)
    .nullable()
    .meta({
      description:
        'What it waits for before it begins: its `start_at`, a place among the active runs of the account, or its release, ' +
        'when it was held meanwhile. Null: it has begun.',
    }),
  started_at: timestamp.nullable(),
  completed_at: timestamp.nullable(),
};

export const runSchema = z
  .object({
    ...runSummaryShape,
    tasks: z.array(taskSchema),
    final_output: z.string().nullable(),
    warnings: z.array(z.string()),
    usage: usageSchema,
    agents: z.array(
      z.object({
        name: z.string(),
        system_prompt: z.string().meta({ description: "Empty of another account's agent: it is its author's." }),
        model: z.string().nullable(),
        provider_id: z.string().nullable(),
        tools: z.array(z.object({ name: z.string(), require_approval: z.boolean() })).optional(),
        max_turns: z.int().optional(),
        require_approval: z.boolean().optional(),
        agent_id: z.string().optional().meta({ description: 'Of a registered agent, which may be deleted since.' }),
        version: z.string().optional(),
      }),
    ),
    human_gates: z.array(z.union([z.string(), gateOfRunSchema])),
    ask_me_about: z.array(
      z.union([z.string(), z.object({ about: z.string(), skills: z.array(z.string()).optional() })]),
    ),
    require_approval: z.boolean(),
    webhook_url: z.string().nullable(),
    gate_due_in: z.string().nullable(),
    remind_every: z.string().nullable(),
    on_timeout: onTimeout,
    escalation_webhook_url: z.string().nullable(),
    provider_id: z.string().nullable(),
    forked_from: z.string().nullable().meta({ description: 'The run that this one is a rerun of.' }),
    attempt: z.int().meta({ description: 'How often it was begun: once, and again each time that it was retried.' }),
    fallback_provider_ids: z.array(z.string()),
    max_cost_usd: z.number().nullable(),
    max_tokens: z.int().nullable(),
    on_budget: z.enum(['gate', 'fail']),
    queue_position: z.int().nullable().meta({
      description: 'Of a run that waits for a place: how many begin before it, and itself.',
    }),
    attachments: z.array(attachmentSchema).meta({ description: 'The files that came with the goal.' }),
    held_at: timestamp.nullable().meta({ description: 'Since then nothing new is begun in it.' }),
    live: z
      .unknown()
      .optional()
      .meta({ description: "With ?live=true: the workflow's own state, or null when it cannot be asked." }),
  })
  .meta({ id: 'Run' });

export const runCancelledSchema = z
  .object({ run_id: z.string(), status: z.enum(['cancelled', 'purged']), message: z.string() })
  .meta({ id: 'RunCancelled' });
