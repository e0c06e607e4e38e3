/** Why a run has failed, as a word that programs read. */
export type ErrorCode =
  /** It took longer than it may. */
  | 'TIMEOUT'
  /** The provider of the model failed, and may not the next time. */
  | 'LLM_ERROR'
  /** The provider takes no calls of this key, or not for this model. */
  | 'LLM_REFUSED'
  /** The quota or the credit at the provider is used up, or it takes no calls for longer than there is time. */
  | 'LLM_RATE_LIMITED'
  /** The run may spend no more. */
  | 'BUDGET_REACHED'
  /** The agent gave nothing that fits its output schema, or no answer at all. */
  | 'INVALID_OUTPUT'
  /** Its code failed, or there is no sandbox for it; it ran for too long; it lacks secrets. */
  | 'SANDBOX_ERROR'
  | 'SANDBOX_TIMEOUT'
  | 'MISSING_SECRETS'
  | 'INTERNAL_ERROR';

const ofFailures: Record<string, ErrorCode> = {
  LlmAuth: 'LLM_REFUSED',
  LlmModelNotFound: 'LLM_REFUSED',
  LlmNotFound: 'LLM_REFUSED',
  LlmBadRequest: 'LLM_REFUSED',
  LlmContextTooLong: 'LLM_REFUSED',
  LlmRefused: 'LLM_REFUSED',
  EgressBlocked: 'LLM_REFUSED',
  ProviderInactive: 'LLM_REFUSED',
  ProviderKeyUnreadable: 'LLM_REFUSED',
  LlmQuotaExhausted: 'LLM_RATE_LIMITED',
  LlmRateLimited: 'LLM_RATE_LIMITED',
  ProviderBlocked: 'LLM_RATE_LIMITED',
  BudgetExceeded: 'BUDGET_REACHED',
  ManagedBudgetUsedUp: 'BUDGET_REACHED',
  OutputInvalid: 'INVALID_OUTPUT',
  MaxTurnsReached: 'INVALID_OUTPUT',
  LlmEmptyAnswer: 'INVALID_OUTPUT',
  NoSandbox: 'SANDBOX_ERROR',
  DeadlineOver: 'TIMEOUT',
};

/** The code of a failure that ends a run, by its type; undefined where who has failed has said it. */
export function errorCodeOf(type: string | null | undefined): ErrorCode | undefined {
  if (type?.startsWith('Code')) return undefined;
  return ofFailures[type ?? ''] ?? (type?.startsWith('Llm') ? 'LLM_ERROR' : 'INTERNAL_ERROR');
}
