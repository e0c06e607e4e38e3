import { setTimeout as sleep } from 'node:timers/promises';
import type { Servers } from './servers.ts';
import { makeRow, type Row, type Rounds, type RowSpec } from './table.ts';

/** Samples of one round, by the keys of the rows. */
export type Figures<Key extends string = string> = Record<Key, number[]>;

/** What is measured of a build, and may be measured of another one beside it. */
export type Comparable<Key extends string = string> = {
  name: string;
  rows: Record<Key, RowSpec>;
  rounds: number;
  /** Of the fake model; default 3. */
  latency_ms?: number;
  /** Left out unless it is asked for by name: it takes long. */
  onlyByName?: boolean;
  /** It starts servers of its own: those that it is given need not be warm. */
  ownServers?: boolean;
  round: (servers: Servers) => Promise<Figures<Key>>;
  /** The same of the bare workflow, on the same server. */
  bare?: (servers: Servers) => Promise<Partial<Figures<Key>>>;
};

/** What is measured of this build alone, by servers of its own or by none, and makes its rows itself. */
export type Single = { name: string; table: (servers: Servers) => Promise<Row[]> };

export type Measure = Comparable | Single;

export function needsWarmServers(measure: Measure): boolean {
  return !('table' in measure || measure.ownServers);
}

/** Keeps the keys of a measure's rows and of its figures the same. */
export function comparable<Key extends string>(measure: Comparable<Key>): Comparable {
  return measure;
}

/**
 * Which measures are meant: those whose name has one of the words in it; without words, all that are not left out.
 * @throws when a word is in none of the names
 */
export function choose(measures: Measure[], words: string[]): Measure[] {
  if (words.length === 0) return measures.filter((measure) => !('onlyByName' in measure && measure.onlyByName));
  const has = (name: string, word: string) => name.toLowerCase().includes(word.toLowerCase());
  const unknown = words.find((word) => !measures.some(({ name }) => has(name, word)));
  if (unknown) throw new Error(`"${unknown}" is none of: ${measures.map(({ name }) => name).join(', ')}.`);
  return measures.filter(({ name }) => words.some((word) => has(name, word)));
}

/**
 * The rows of a measure. The builds and the bare workflow take turns within each round, and the next round goes the other
 * way round: what the machine does besides falls on all alike.
 */
export async function take(measure: Measure, now: Servers, old?: Servers): Promise<Row[]> {
  if ('table' in measure) return measure.table(now);
  const { round, bare, latency_ms = 3 } = measure;
  now.model.answerAfter(latency_ms);
  const turns: { name: keyof Rounds; measure: (index: number) => Promise<Partial<Figures>> }[] = [
    ...(old ? [{ name: 'old' as const, measure: () => round(old) }] : []),
    { name: 'now' as const, measure: () => round(now) },
    // On both servers, for what it leaves behind weighs on them: on that of one build alone, the same build took 1.10 x the CPU there.
    ...(bare ? [{ name: 'bare' as const, measure: (index: number) => bare(index % 2 && old ? old : now) }] : []),
  ];
  const taken: { name: keyof Rounds; figures: Partial<Figures> }[] = [];
  for (let index = 0; index < measure.rounds; index += 1) {
    for (const { name, measure: run } of index % 2 ? turns.toReversed() : turns) {
      taken.push({ name, figures: await run(index) });
      await sleep(500);
    }
  }
  return Object.entries(measure.rows).map(([key, row]) => {
    const of = (wanted: keyof Rounds) => {
      const lists = taken.flatMap(({ name, figures }) => (name === wanted && figures[key] ? [figures[key]] : []));
      return lists.length > 0 ? lists : undefined;
    };
    return makeRow(row, { now: of('now')!, old: of('old'), bare: of('bare') });
  });
}
