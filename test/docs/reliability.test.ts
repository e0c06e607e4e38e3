import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

/** docs/reliability.md names tests; a test that was renamed or deleted must not stay there. */

const root = path.join(import.meta.dirname, '../..');
const rows = readFileSync(path.join(root, 'docs/reliability.md'), 'utf8')
  .split('\n')
  .map((line) => /^\| (F\d\d) +\|[^|]+\|([^|]+)\|$/.exec(line))
  .filter((row) => row !== null)
  .map(([, fault, coveredBy]) => ({ fault: fault!, coveredBy: coveredBy! }));

test('every fault of the catalogue has its row', () => {
  const numbers = [...Array.from({ length: 77 }, (_, index) => index + 1), 85];
  const named = numbers.map((number) => `F${String(number).padStart(2, '0')}`);
  expect(rows.map(({ fault }) => fault)).toEqual(expect.arrayContaining(named));
});

test('the tests that it names are there', () => {
  const missing = rows.flatMap(({ fault, coveredBy }) =>
    coveredBy.split(/(?=`[\w/-]+\.test\.ts`)/).flatMap((part) => {
      const file = /^`([\w/-]+\.test\.ts)`/.exec(part)?.[1];
      if (!file) return [];
      const source = readFileSync(path.join(root, 'test', file), 'utf8');
      const names = [...part.matchAll(/"([^"]+)"/g)].map(([, name]) => name!);
      return names.filter((name) => !source.includes(name)).map((name) => `${fault} ${file}: ${name}`);
    }),
  );
  expect(missing).toEqual([]);
});
