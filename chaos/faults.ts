import type { ModelFault, WebhookFault } from './outside.ts';
import type { Link, ServerName, ServiceName } from './servers.ts';
import type { WebFault } from './web.ts';

/** What is done, to whom, and for how long, in milliseconds. */
export type Fault =
  | { kind: 'kill' | 'freeze'; target: ServerName; lasts: number }
  | { kind: 'cut' | 'silence' | 'slow'; from: ServiceName; to: Link['to']; lasts: number; delay_ms?: number }
  | { kind: 'model'; weather: ModelFault; lasts: number }
  | { kind: 'webhook'; weather: WebhookFault; lasts: number }
  | { kind: 'web'; weather: WebFault; lasts: number }
  // Aimed: each waits for its moment, and falls again when it has met nothing, so that no run of this program goes without. The
  // first one in a call is also one in the middle of indexing, and that in code meets code of both sorts.
  | { kind: (typeof aimed)[number]; lasts: number; isFirst?: true };

export const aimed = [
  'kill in a call',
  'kill in a chain',
  'kill in code',
  'kill in a tool',
  'kill before the signal',
  'kill in a delivery',
] as const;

/** A fault as it fell. Times are milliseconds since 1970; it has ended when what was killed takes work again. */
export type Fallen = Fault & {
  began: number;
  ended: number;
  /** What was under way when it fell. */
  open_calls: number;
  /** Of them those of an agent that another has called. */
  open_below: number;
  open_tools: number;
  /** Code that is at work, of the sort of which there is less: that may be begun again, or may not. */
  open_code: number;
  open_embeddings: number;
  open_deliveries: number;
  /** Rows of the outbox just after an API was killed: committed, and Temporal has not heard of it. */
  unsent?: number;
};

/** What fault of the aimed ones met what it was aimed at: how often. */
export function hitsOf(fallen: Fallen): number {
  const { kind, open_calls, open_below, open_tools, open_code, open_embeddings, open_deliveries, unsent = 0 } = fallen;
  switch (kind) {
    case 'kill in a call':
      return fallen.isFirst ? Math.min(open_calls, open_embeddings) : open_calls;
    case 'kill in a chain':
      return open_below;
    case 'kill in code':
      return open_code;
    case 'kill in a tool':
      return open_tools;
    case 'kill in a delivery':
      return open_deliveries;
    default:
      return unsent;
  }
}

/** Such as "freeze postgres 2.1 s". */
export function describe(fault: Fallen): string {
  const { kind, lasts, began: _, ended: __, open_calls, open_below, open_tools, open_code, ...more } = fault;
  const { open_embeddings, open_deliveries, unsent, isFirst: ___, ...what } = { isFirst: undefined, ...more };
  const atWork = `calls=${open_calls} below=${open_below} tools=${open_tools} code=${open_code}`;
  const open = `${atWork} embeddings=${open_embeddings} deliveries=${open_deliveries}`;
  const under = unsent === undefined ? open : `${open} unsent=${unsent}`;
  return `${kind} ${Object.values(what).join(' ')} ${(lasts / 1000).toFixed(1)} s [${under}]`;
}
