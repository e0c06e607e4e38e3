import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, inject, test } from 'vitest';

/** The rules of the house: who may import what. docs and reviews need not repeat them. */

const root = path.join(import.meta.dirname, '..');
const files = globSync(['src/**/*.ts', 'workflows/**/*.ts', 'activities/**/*.ts', 'db/**/*.ts'], { cwd: root });

type Import = { from: string; to: string; isTypeOnly: boolean };

/** Every import of our code. `to` is a file of ours, or a package with its subpath. `import { type X }` is no type import: Node loads the module. */
const imports: Import[] = files.flatMap((from) => {
  const source = readFileSync(path.join(root, from), 'utf8');
  const statements = source.matchAll(/^(?:import|export)\s(type\s)?(?:[^;'"]*?\sfrom\s)?'([^']+)'/gm);
  const dynamic = source.matchAll(/\bimport\('([^']+)'\)/g);
  return [
    ...[...statements].map(([, type, to]) => ({ from, to: resolve(from, to!), isTypeOnly: type !== undefined })),
    ...[...dynamic].map(([, to]) => ({ from, to: resolve(from, to!), isTypeOnly: false })),
  ];
});

function resolve(from: string, to: string): string {
  return to.startsWith('.') ? path.join(path.dirname(from), to) : to;
}

const atRunTime = imports.filter(({ isTypeOnly }) => !isTypeOnly);

function lines(found: Import[]): string[] {
  return found.map(({ from, to }) => `${from} imports ${to}`);
}

/** What `folder` imports at run time besides what it may. */
function strangers(folder: RegExp, mayImport: RegExp): string[] {
  const own = atRunTime.filter(({ from }) => folder.test(from));
  expect(own.length, `imports of ${folder}`).toBeGreaterThan(0);
  return lines(own.filter(({ to }) => !mayImport.test(to)));
}

/** Who imports `what`, even only its types, without being allowed to. */
function intruders(what: RegExp, allowed: RegExp, among: Import[] = imports): string[] {
  const users = among.filter(({ to }) => what.test(to));
  expect(users.length, `imports of ${what}`).toBeGreaterThan(0);
  return lines(users.filter(({ from }) => !allowed.test(from)));
}

test('workflows are deterministic: at run time they import themselves and the SDK, of activities only the types', () => {
  expect(strangers(/^workflows\//, /^(workflows\/|@temporalio\/(workflow|common)$)/)).toEqual([]);
  const types = imports.filter(({ from, isTypeOnly }) => from.startsWith('workflows/') && isTypeOnly);
  expect(lines(types.filter(({ to }) => !/^(workflows\/|activities\/index\.ts$)/.test(to)))).toEqual([]);
});

test('activities know the database, the models and the messages, and nothing of the API', () => {
  const ours =
    'activities/|db/|workflows/(messages|definition|form|graph|plan)\\.ts$|src/(llm|javascript|tools)/index\\.ts$|src/(crypto|fetch)\\.ts$';
  expect(
    strangers(/^activities\//, new RegExp(`^(${ours}|@temporalio/activity$|node:|zod$|standardwebhooks$)`)),
  ).toEqual([]);
});

test('the database knows nobody but the messages', () => {
  expect(strangers(/^db\//, /^(db\/|workflows\/(messages|form)\.ts$|kysely|pg$|node:)/)).toEqual([]);
});

test('the models and the tools know nobody, and only they know the vendors and MCP', () => {
  expect(strangers(/^src\/llm\//, /^(?!src\/(?!llm\/|fetch\.ts)|db\/|activities\/|workflows\/)/)).toEqual([]);
  expect(
    strangers(/^src\/tools\//, /^(?!src\/(?!tools\/|fetch\.ts|javascript\/index\.ts)|db\/|activities\/|workflows\/)/),
  ).toEqual([]);
  expect(intruders(/^src\/tools\/(?!index\.ts)/, /^src\/tools\//)).toEqual([]);
  expect(intruders(/^@modelcontextprotocol\//, /^src\/tools\/mcp\.ts$/)).toEqual([]);
  expect(intruders(/^(openai|@anthropic-ai\/sdk|@google\/genai)/, /^src\/llm\//)).toEqual([]);
  expect(intruders(/^src\/llm\/(?!index\.ts)/, /^src\/llm\//)).toEqual([]);
});

test('the engine is all of the API that speaks Temporal', () => {
  expect(intruders(/^@temporalio\/client/, /^src\/(engine|temporal|migrate)\.ts$|^src\/embedded\//)).toEqual([]);
  expect(intruders(/^@temporalio\/worker/, /^src\/worker(-options)?\.ts$/)).toEqual([]);
  expect(intruders(/^@temporalio\/activity/, /^activities\//)).toEqual([]);
});

test('nothing points back: routes are used by the app, the app by its process', () => {
  expect(intruders(/^src\/routes\//, /^src\/(app\.ts$|routes\/)/)).toEqual([]);
  expect(intruders(/^src\/app\.ts$/, /^src\/api\.ts$/, atRunTime)).toEqual([]);
  expect(intruders(/^activities\//, /^activities\/|^src\/worker\.ts$/, atRunTime)).toEqual([]);
  expect(intruders(/^src\/schemas\//, /^src\/(routes|schemas|orchestrations)\//)).toEqual([]);
});

test('SQL is in db', () => {
  expect(intruders(/^(kysely|pg)\b/, /^db\/|^src\/embedded\//)).toEqual([]);
});

test('the environment is read in one place', () => {
  const readers = files.filter((file) => readFileSync(path.join(root, file), 'utf8').includes('process.env'));
  expect(readers).toEqual(['src/config.ts']);
});

test('the bundle of the workflows holds workflows and the SDK only', () => {
  const modules = [...readFileSync(inject('workflowBundle'), 'utf8').matchAll(/^\/\*{3}\/ "([^"]+)"/gm)].map(
    ([, id]) => id!,
  );
  expect(modules.some((id) => id.endsWith('workflows/run.ts'))).toBe(true);
  // `?31ff`: hooks of the SDK that we leave empty.
  const expected = /^\?|\/workflows\/|\/node_modules\/(@temporalio\/(workflow|common|proto)|nexus-rpc|ms|long)\//;
  expect(modules.filter((id) => !expected.test(id))).toEqual([]);
});

/** With the reason why. */
const longFiles: Record<string, string> = { 'db/schema.ts': 'All tables on one page.' };

test('files are small', () => {
  const all = [...files, ...globSync(['test/**/*.ts', 'bench/**/*.ts', 'chaos/**/*.ts'], { cwd: root })];
  const long = all.filter((file) => readFileSync(path.join(root, file), 'utf8').split('\n').length > 301);
  expect(long).toEqual(Object.keys(longFiles));
});
