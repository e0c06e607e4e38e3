import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

const root = path.join(import.meta.dirname, '../..');
const documents = globSync(['*.md', 'docs/**/*.md'], { cwd: root });

/** Paths in backticks, but for those with a part that the reader fills in: `docs/<name>.md`. */
const inBackticks = /`((?:src|workflows|activities|db|test|docs|bench|chaos|examples)\/[\w./*-]*)`/g;
const inLinks = /\]\((?!https?:|#)([^)#\s]+)/g;

test('every file that the documents name is there', () => {
  const missing = documents.flatMap((document) => {
    const text = readFileSync(path.join(root, document), 'utf8');
    const named = [...text.matchAll(inBackticks)].map(([, file]) => file!);
    const linked = [...text.matchAll(inLinks)].map(([, file]) => path.join(path.dirname(document), file!));
    return [...named, ...linked].filter((file) => !isThere(file)).map((file) => `${document}: ${file}`);
  });
  expect(missing).toEqual([]);
});

/** docs/reliability.md names tests from test/ on; its own test reads them. */
function isThere(file: string): boolean {
  if (file.includes('*')) return globSync(file, { cwd: root }).length > 0;
  return existsSync(path.join(root, file)) || existsSync(path.join(root, 'test', file));
}
