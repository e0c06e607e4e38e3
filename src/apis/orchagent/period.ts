import { InvalidInputError } from '../../errors.ts';

/** The period that usage is asked for. */

const hour_ms = 3_600_000;
export const day_ms = 24 * hour_ms;

export type Period = { from: string; to: string };

type Bounds = {
  /** In whole ones of these, in UTC, it is counted. */
  unit_ms: number;
  /** How long it is where it is not said from when. */
  usual_ms: number;
  longest_ms: number;
};

/** A summary is of thirty days, and of 366 at most. */
export const ofSummaries: Bounds = { unit_ms: hour_ms, usual_ms: 30 * day_ms, longest_ms: 366 * day_ms };

/** Points in time are of a day by the hour, and of thirty days by the day. */
export const ofPoints: Record<'hour' | 'day', Bounds> = {
  hour: { unit_ms: hour_ms, usual_ms: day_ms, longest_ms: 31 * day_ms },
  day: { unit_ms: day_ms, usual_ms: 30 * day_ms, longest_ms: 366 * day_ms },
};

/**
 * From the beginning of the unit that `from` is in to the end of the one that `to` is in; `to` is now unless given. Throws
 * `InvalidInputError` for a period that ends before it begins, or is too long.
 */
export function periodOf(
  asked: { from?: string | undefined; to?: string | undefined },
  { unit_ms, usual_ms, longest_ms }: Bounds,
): Period {
  const to = Math.ceil((asked.to === undefined ? Date.now() : Date.parse(asked.to)) / unit_ms) * unit_ms;
  const from = asked.from === undefined ? to - usual_ms : Math.floor(Date.parse(asked.from) / unit_ms) * unit_ms;
  const refuse = (detail: string) => new InvalidInputError([{ path: ['from'], detail }]);
  if (from >= to) throw refuse('must be before to');
  if (to - from > longest_ms) throw refuse(`must be at most ${longest_ms / day_ms} days before to`);
  return { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
}

/** When each of its units begins. */
export function unitsOf({ from, to }: Period, { unit_ms }: Bounds): string[] {
  const [first, end] = [Date.parse(from), Date.parse(to)];
  return Array.from({ length: (end - first) / unit_ms }, (_, n) => new Date(first + n * unit_ms).toISOString());
}
