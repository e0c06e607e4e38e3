import type { ManagedLimits } from '../db/managed-budget.ts';
import type { LiveSender } from '../db/live.ts';
import type { AccountRate } from '../db/rate-limits.ts';
import type { KeyRing } from '../src/crypto.ts';
import type { VectorCache } from '../src/knowledge/vectors.ts';
import type { Operators } from '../src/temporal/operators.ts';
import type { GoalDeps } from '../src/runs/goals.ts';
import type { Courier } from '../src/webhooks/courier.ts';
import type { Lend } from './lent-places.ts';
import type { Places } from './places.ts';

/** What activities work with; what starts runs is among it. */
export type ActivityDeps = GoalDeps & {
  live: LiveSender;
  operators: Operators;
  courier: Courier;
  vectors: VectorCache;
  encryptionKey: KeyRing;
  /** For the URLs of accounts: may go only where the operator allows it. */
  fetch: typeof fetch;
  /** For the operator's own models: may go where their settings say as well. */
  operatorFetch: typeof fetch;
  llm_timeout_ms: number;
  managedLimits: ManagedLimits;
  reminderRate: AccountRate;
  searchRate: AccountRate;
  /** For all that calls a model or a tool, or computes. */
  places: Places;
  /** Where work that has a place may wait for other work, which must not wait for it. */
  lend?: Lend;
  /** Of a value of the state that a step makes, in characters. */
  max_value_length: number;
  /** Of all texts of a run. */
  max_run_bytes: number;
};
