import { z } from 'zod';
import { timeoutActions } from '../../workflows/contract/gate-terms.ts';
import { duration, line, url } from '../fields.ts';

/** How long gates wait for people, and who answers: what a run of any kind is asked for, in every surface. */

export const onTimeout = z.enum(timeoutActions).meta({
  description:
    'When a gate is due, `gate.overdue` is sent, and then: the gate stays open (`wait`, `escalate`), the run fails ' +
    '(`reject`), the task completes with its draft, or without an output (`approve`), the run is cancelled (`cancel`).',
});

/** Those of a gate that may have its own; a run has `on_timeout` beside them, which is `wait` unless given. */
export const gateTermsShape = {
  gate_due_in: duration()
    .optional()
    .meta({ description: 'How long a gate may wait for a person. For ever unless given.' }),
  remind_every: duration().optional().meta({
    description: 'Sends the webhook event `gate.reminder` this often, as long as a gate is open.',
    example: '24h',
  }),
  escalation_webhook_url: url().optional().meta({
    description: 'Where `gate.overdue` goes with `on_timeout: "escalate"`, besides `webhook_url`.',
  }),
};

export const fallbackProviders = z
  .array(line(64))
  .max(5)
  .default([])
  .refine((ids) => new Set(ids).size === ids.length, 'must be different')
  .meta({
    description: 'Asked in this order, each with its own model, when the one before refuses: key, quota, deactivated.',
    example: ['prv_def456'],
  });
