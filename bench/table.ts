import { cpus, loadavg } from 'node:os';

export type Unit = (value: number) => string;

/** What a figure must reach: a bound in its own unit, or so many times what the old build or the bare workflow has. */
export type Bar = { most: number; of?: 'old' | 'bare' } | { least: number; of?: 'old' | 'bare' };

/** A row of the table: how its samples become one figure (default: their median), and how it reads. */
export type RowSpec = { what: string; unit: Unit; of?: (samples: number[]) => number; bars?: Bar[] };

/** A row as it is printed. `holds`: whether every bar that could be checked was reached. */
export type Row = {
  what: string;
  old?: string;
  orchflow: string;
  ratio?: string;
  /** The lowest and the highest ratio of a round. */
  spread?: string;
  bare?: string;
  toBare?: string;
  bar?: string;
  holds?: boolean;
};

/** The samples of one row: a list for each round, round by round in the same order for everybody. */
export type Rounds = { now: number[][]; old?: number[][]; bare?: number[][] };

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1]! + sorted[Math.floor(half)]!) / 2;
}

export function percentile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

export const p99 = (values: number[]) => percentile(values, 0.99);

export const ms: Unit = (value) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
export const seconds: Unit = (value) => `${(value / 1000).toFixed(1)} s`;
export const mib: Unit = (bytes) => `${(bytes / 1024 / 1024).toFixed(0)} MiB`;
export const kib: Unit = (bytes) => `${(bytes / 1024).toFixed(0)} KiB`;
export const count: Unit = (value) => value.toFixed(0);
export const rate: Unit = (value) => value.toFixed(1);
export const percent: Unit = (value) => `${value.toFixed(1)} %`;

/**
 * The row of these samples. Ratios are the medians of the rounds' own, whose sides were measured in turn: what the machine
 * did besides from round to round is in both.
 */
export function makeRow({ what, unit, of = median, bars = [] }: RowSpec, { now, old, bare }: Rounds): Row {
  const figure = of(now.flat());
  const ratios = (theirs: number[][]) => now.map((samples, round) => of(samples) / of(theirs[round]!));
  const toOld = old && ratios(old);
  const toBare = bare && ratios(bare);
  const values = { self: figure, old: toOld && median(toOld), bare: toBare && median(toBare) };
  const isKnown = (value: number | undefined) => value !== undefined && !Number.isNaN(value);
  const checked = bars.filter((bar) => isKnown(values[bar.of ?? 'self']));
  return {
    what,
    old: old && unit(of(old.flat())),
    orchflow: unit(figure),
    ratio: toOld && times(median(toOld)),
    spread: toOld && toOld.length > 1 ? describeSpread(toOld) : undefined,
    bare: bare && unit(of(bare.flat())),
    toBare: toBare && times(median(toBare)),
    bar: checked.map((bar) => describeBar(bar, unit)).join(', '),
    holds: checked.length === 0 ? undefined : checked.every((bar) => reaches(values[bar.of ?? 'self']!, bar)),
  };
}

const times: Unit = (ratio) => `${ratio.toFixed(2)} x`;

function describeSpread(ratios: number[]): string {
  return `${Math.min(...ratios).toFixed(2)}-${times(Math.max(...ratios))}`;
}

function reaches(value: number, bar: Bar): boolean {
  return 'most' in bar ? value <= bar.most : value >= bar.least;
}

function describeBar(bar: Bar, unit: Unit): string {
  const [sign, bound] = 'most' in bar ? ['≤', bar.most] : ['≥', bar.least];
  return `${sign} ${bar.of ? `${bound} x ${bar.of}` : unit(bound)}`;
}

/** Prints the rows as a Markdown table, without the columns that none of them fills. `old`: the name of the old build. */
export function printTable(rows: Row[], old = 'old'): void {
  const columns: { title: string; cell: (row: Row) => string | undefined }[] = [
    { title: 'measure', cell: ({ what }) => what },
    { title: `\`${old}\``, cell: (row) => row.old },
    { title: 'Orchflow', cell: ({ orchflow }) => orchflow },
    { title: 'ratio', cell: ({ ratio }) => ratio },
    { title: 'of the rounds', cell: ({ spread }) => spread },
    { title: 'bare workflow', cell: ({ bare }) => bare },
    { title: 'ratio to it', cell: ({ toBare }) => toBare },
    { title: 'bar', cell: ({ bar }) => bar },
    { title: '', cell: ({ holds }) => (holds === undefined ? '' : holds ? 'ok' : 'MISSED') },
  ];
  const used = columns.filter(({ cell }) => rows.some(cell));
  const line = (cells: string[]) => console.log(`| ${cells.join(' | ')} |`);
  console.log(`\n${cpus().length} cores, Node ${process.version}, load average ${loadavg()[0]!.toFixed(1)}\n`);
  line(used.map(({ title }) => title));
  line(used.map(() => '---'));
  for (const row of rows) line(used.map(({ cell }) => cell(row) ?? ''));
}
