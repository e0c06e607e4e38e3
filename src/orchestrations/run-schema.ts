import { line, text, url } from '../fields.ts';
import { budgetShape, onBudget } from '../agents/budget-schema.ts';
import { attachmentsShape } from '../runs/attachments-schema.ts';
import { labelsShape } from '../runs/labels-schema.ts';
import { remarkShape } from '../runs/remark-schema.ts';
import { startTimeShape } from '../runs/start-time-schema.ts';
import { gateTermsShape, onTimeout } from '../runs/terms-schema.ts';
import { initialStateSchema } from './initial-state-schema.ts';

/** The message of a run, whatever a surface calls it. */
export const orchestrationInput = text(1, 20_000);

/** What a run of an orchestration is asked for beside its message, in every surface. */
export const orchestrationRunShape = {
  initial_state: initialStateSchema,
  provider_id: line(64).optional().meta({
    description: "The account's newest active provider unless given; the server's own model where there is none.",
  }),
  ...startTimeShape,
  webhook_url: url().optional(),
  ...gateTermsShape,
  on_timeout: onTimeout.default('wait').meta({
    description:
      'When a gate is due, `gate.overdue` is sent, and then: the gate stays open (`wait`, `escalate`), the run fails ' +
      '(`reject`), the step completes with its draft or, a form that requires nothing, with an empty one (`approve`), the run is ' +
      'cancelled (`cancel`).',
  }),
  ...budgetShape,
  max_cost_usd: budgetShape.max_cost_usd.meta({
    description: 'What the model calls of the run may cost, in place of `max_total_cost_usd` of the definition.',
    example: 0.5,
  }),
  on_budget: onBudget.default('fail'),
  ...labelsShape,
  ...attachmentsShape,
  on_behalf_of: remarkShape.on_behalf_of,
};
