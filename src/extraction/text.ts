import { parse } from 'csv-parse/sync';
import type { Section } from './cut.ts';
import { Unreadable } from './unreadable.ts';

/** Bytes as text: UTF-8, UTF-16 with its mark, or what the text itself says that it is in. */
export function decode(bytes: Uint8Array, said?: string): string {
  const [first, second] = bytes;
  const marked =
    first === 0xff && second === 0xfe ? 'utf-16le' : first === 0xfe && second === 0xff ? 'utf-16be' : undefined;
  const encoding = marked ?? said ?? 'utf-8';
  const text = decodeAs(encoding, bytes) ?? decodeAs('utf-8', bytes);
  if (text === undefined) throw new Unreadable('It is no text in UTF-8 or UTF-16.');
  if (text.includes('\u0000')) throw new Unreadable('It is no text: it has NUL characters.');
  return text;
}

function decodeAs(encoding: string, bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** The encoding that an HTML page names in its head. */
export function charsetOf(bytes: Uint8Array): string | undefined {
  const head = Buffer.from(bytes.subarray(0, 2_048)).toString('latin1');
  return /<meta[^>]+charset\s*=\s*["']?([\w-]+)/i.exec(head)?.[1];
}

const maxColumns = 500;

/** A table: each of its rows is a line that names its columns, so that it can be read by itself. */
export function readCsv(text: string): Section[] {
  let rows: string[][];
  try {
    rows = parse(text, {
      bom: true,
      delimiter: delimiterOf(text),
      relax_column_count: true,
      relax_quotes: true,
      skip_empty_lines: true,
    });
  } catch (error) {
    throw new Unreadable(`It is no table that can be read: ${String((error as Error).message).slice(0, 200)}`);
  }
  const [names = [], ...records] = rows;
  if (names.length > maxColumns) throw new Unreadable(`It has more than ${maxColumns} columns.`);
  const lines = records.map((record) =>
    record
      .map((value, index) => [names[index]?.trim(), value.replaceAll(/\s+/g, ' ').trim()])
      .filter(([, value]) => value)
      .map(([name, value]) => (name ? `${name}: ${value}` : value))
      .join('; '),
  );
  return [{ page: null, text: records.length > 0 ? lines.join('\n') : names.join('; '), form: 'rows' }];
}

/** The sign of which the first line has most. */
function delimiterOf(text: string): string {
  const line = text.slice(0, 10_000).split('\n', 1)[0]!;
  const count = (sign: string) => line.split(sign).length;
  return [',', ';', '\t'].toSorted((a, b) => count(b) - count(a))[0]!;
}
