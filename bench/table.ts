import { cpus, loadavg } from 'node:os';

/** `bar` is what the figure must reach; `holds` whether it did. */
export type Row = { what: string; orchflow: string; bare?: string; ratio?: string; bar?: string; holds?: boolean };

export function median(values: number[]): number {
  return percentile(values, 0.5);
}

export function percentile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

export const ms = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;

/** A row that compares with the bare workflow. `most`: the ratio may be at most this; `least`: it must be at least this. */
export function compare(
  what: string,
  orchflow: number,
  bare: number,
  unit: (value: number) => string,
  bar: { most?: number; least?: number } = {},
): Row {
  const ratio = orchflow / bare;
  const text = bar.most ? `≤ ${bar.most} x` : bar.least ? `≥ ${bar.least} x` : undefined;
  const holds = bar.most ? ratio <= bar.most : bar.least ? ratio >= bar.least : undefined;
  return { what, orchflow: unit(orchflow), bare: unit(bare), ratio: `${ratio.toFixed(2)} x`, bar: text, holds };
}

/** Prints the rows as a Markdown table. */
export function printTable(rows: Row[]): void {
  console.log(`\n${cpus().length} cores, Node ${process.version}, load average ${loadavg()[0]!.toFixed(1)}\n`);
  console.log('| measure | Orchflow | bare workflow | ratio | bar | |\n|---|---|---|---|---|---|');
  for (const { what, orchflow, bare = '', ratio = '', bar = '', holds } of rows) {
    console.log(
      `| ${what} | ${orchflow} | ${bare} | ${ratio} | ${bar} | ${holds === undefined ? '' : holds ? 'ok' : 'MISSED'} |`,
    );
  }
}
