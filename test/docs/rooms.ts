import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';

/**
 * `node test/docs/rooms.ts [checkout]`: counts what docs/architecture.md has a table of. A room is a folder, and a file at
 * the top of src/ is one by itself. An arrow is a pair of rooms of which the first imports the second. A circle is a set of
 * files that lead back to one another. Imports of types count.
 */
const [root = '.'] = process.argv.slice(2);
const files = globSync('{src,workflows,activities,db}/**/*.ts', { cwd: root });
const next = new Map(files.map((file) => [file, importsOf(file)]));

function importsOf(file: string): string[] {
  const source = readFileSync(path.join(root, file), 'utf8');
  const found = source.matchAll(/^(?:import|export)\s[^;'"]*'(\.[^']+)'|\bimport\('(\.[^']+)'\)/gm);
  return [...found]
    .map(([, to, late]) => path.join(path.dirname(file), to ?? late!))
    .filter((to) => files.includes(to));
}

/** `src/apis/orchflow` and `workflows/contract` are rooms of their own; any other folder belongs to the one that it is in. */
function roomOf(file: string): string {
  return /^(src\/apis\/\w+|src\/[\w-]+|workflows\/contract|\w+)/.exec(file)![0];
}

function reach(file: string, reached = new Set<string>()): Set<string> {
  for (const to of next.get(file)!) if (!reached.has(to)) reach(to, reached.add(to));
  return reached;
}

const arrows = new Set(files.flatMap((file) => next.get(file)!.map((to) => `${roomOf(file)} → ${roomOf(to)}`)));
for (const arrow of arrows) if (arrow.split(' → ')[0] === arrow.split(' → ')[1]) arrows.delete(arrow);
const bothWays = [...arrows].filter((arrow) => arrow < back(arrow) && arrows.has(back(arrow)));
const reached = new Map(files.map((file) => [file, reach(file)]));
const circles = files
  .filter((file) => reached.get(file)!.has(file))
  .map((file) => [...reached.get(file)!].filter((to) => reached.get(to)!.has(file)).toSorted());

function back(arrow: string): string {
  return arrow.split(' → ').toReversed().join(' → ');
}

console.log(
  `${files.length} files, ${files.filter((file) => path.dirname(file) === 'src').length} of them at the top of src/`,
);
console.log(`${new Set(files.map(roomOf)).size} rooms`);
console.log(`${arrows.size} arrows; ${bothWays.length} both ways: ${bothWays.join(', ')}`);
const sets = new Set(circles.map((circle) => circle.join(', ')));
console.log([`${sets.size} circles`, ...sets].join('\n  '));
