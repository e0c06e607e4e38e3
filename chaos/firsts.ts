import type { CallKind } from './journal.ts';
import { hasSandbox } from './sandbox.ts';
import type { Shape } from './shapes.ts';

/**
 * What clients do in every run of this program, by the words that it is counted with, and the shape of the runs in which it
 * is sure to be done while nothing is broken. Some of it is also left to chance: until it has been done once, it is not.
 */
export const shapesOfFirsts = {
  'runs held': 'held',
  'tasks sent back': 'sent back',
  'tasks corrected': 'steered',
  'runs purged': 'plain',
  'runs that waited for a place': 'crowd',
  'runs that were to begin later': 'gated',
  'files given to runs': 'gated',
  'files deleted': 'gated',
  'gates given to people': 'context',
  'answers of their own': 'context',
  'documents indexed': 'shelf',
  'documents deleted': 'shelf',
  'passages found': 'shelf',
  'agents read token by token': 'reader',
  'streams cut': 'reader',
  'calls answered': 'call once',
  'calls answered by events': 'call as events',
  'calls taken up again': 'call again',
  'agents that called others': 'call in a chain',
  'calls ended by their deadline': 'call too late',
  ...(hasSandbox && { 'code called': 'call code', 'agents called by code': 'call code that calls' }),
} as const satisfies Record<string, Shape | 'crowd' | 'shelf' | 'reader' | `call ${CallKind}`>;

export type First = keyof typeof shapesOfFirsts;

/** A run that has its place begins at once, or within a second when its API was killed just then. */
export const waiting_ms = 1_000;

export type Firsts = ReturnType<typeof createFirsts>;

/** What has been done by now, as the answers of the API say it, and in which runs. */
export function createFirsts() {
  const doneIn = new Map<First, Set<string>>();
  const isDue = (first: First) => !doneIn.get(first)?.size;
  return {
    isDue,
    due: () => (Object.keys(shapesOfFirsts) as First[]).filter(isDue),
    note(first: First, id: string): void {
      doneIn.set(first, (doneIn.get(first) ?? new Set()).add(id));
    },
    /** What was done in a run that is purged is not there to be counted. */
    forget(run_id: string): void {
      for (const runs of doneIn.values()) runs.delete(run_id);
    },
  };
}
