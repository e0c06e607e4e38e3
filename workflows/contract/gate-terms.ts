/** How long gates wait for people, as it is asked for and stored. */

/** What happens when a gate is due: it stays open (`wait`, and `escalate`, which calls another webhook), or is decided. */
export const timeoutActions = ['wait', 'escalate', 'reject', 'approve', 'cancel'] as const;
export type OnTimeout = (typeof timeoutActions)[number];

/** Durations are such as "48h". */
export type GateTerms = {
  gate_due_in: string | null;
  remind_every: string | null;
  on_timeout: OnTimeout;
  escalation_webhook_url: string | null;
};

/** Their names. */
export const gateTerms = [
  'gate_due_in',
  'remind_every',
  'on_timeout',
  'escalation_webhook_url',
] as const satisfies (keyof GateTerms)[];
