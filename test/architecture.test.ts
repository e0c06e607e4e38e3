import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, inject, test } from 'vitest';

/** The rules of the house: who may import what. docs and reviews need not repeat them. */

const root = path.join(import.meta.dirname, '..');
const files = globSync(['src/**/*.ts', 'workflows/**/*.ts', 'activities/**/*.ts', 'db/**/*.ts'], { cwd: root });

type Import = { from: string; to: string; isTypeOnly: boolean; isLate?: true };

/** Every import of our code. `to` is a file of ours, or a package with its subpath. `import { type X }` is no type import: Node loads the module. */
const imports: Import[] = files.flatMap((from) => {
  const source = readFileSync(path.join(root, from), 'utf8');
  const statements = source.matchAll(/^(?:import|export)\s(type\s)?(?:[^;'"]*?\sfrom\s)?'([^']+)'/gm);
  const dynamic = source.matchAll(/\bimport\('([^']+)'\)/g);
  return [
    ...[...statements].map(([, type, to]) => ({ from, to: resolve(from, to!), isTypeOnly: type !== undefined })),
    ...[...dynamic].map(([, to]) => ({ from, to: resolve(from, to!), isTypeOnly: false, isLate: true as const })),
  ];
});

function resolve(from: string, to: string): string {
  return to.startsWith('.') ? path.join(path.dirname(from), to) : to;
}

const atRunTime = imports.filter(({ isTypeOnly }) => !isTypeOnly);
const atOnce = atRunTime.filter(({ isLate }) => !isLate);

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

/**
 * One way: a room may use the rooms of its own line and of those below it. The processes and the wiring, which stand
 * beside the rooms in src/, may use all of them.
 */
const floors = [
  ['src/app.ts'],
  ['src/apis/'],
  ['src/http/'],
  ['src/orchestrations/', 'src/calls/'],
  ['src/runs/'],
  ['src/code/'],
  ['src/agents/', 'src/files/', 'src/knowledge/', 'src/people/'],
  ['src/accounts/'],
  ['src/webhooks/'],
  ['src/embedded/'],
  ['src/temporal/'],
  ['src/llm/', 'src/tools/', 'src/extraction/', 'src/javascript/', 'src/sandbox/'],
  ['src/fetch/', 'src/node/'],
  ['db/'],
  ['workflows/'],
  ['workflows/contract/'],
];
/** What stands at the top of src/ and knows no room: anybody may use it. */
const ground = /^src\/(config|crypto|errors|fields|ids)\.ts$/;

function floorOf(file: string): number {
  return floors.findLastIndex((rooms) => rooms.some((room) => file.startsWith(room)));
}

test('one way: no room uses one above it', () => {
  const climbing = imports.filter(({ from, to }) => {
    const [own, other] = [floorOf(from), floorOf(to)];
    return own >= 0 && other >= 0 && other < own;
  });
  expect(lines(climbing)).toEqual([]);
  const wired = imports.filter(({ from, to }) => floorOf(from) > 0 && /^src\/[^/]+\.ts$/.test(to) && !ground.test(to));
  // A handler is given what the wiring has made: it knows the type of that, and no value.
  expect(lines(wired.filter(({ from, isTypeOnly }) => !isTypeOnly || !from.startsWith('src/http/env')))).toEqual([]);
});

test('no surface knows another, and no noun knows HTTP', () => {
  const surfaceOf = (file: string) => /^src\/apis\/\w+\//.exec(file)?.[0];
  const others = imports.filter(
    ({ from, to }) => surfaceOf(from) && surfaceOf(to) && surfaceOf(from) !== surfaceOf(to),
  );
  expect(lines(others)).toEqual([]);
  expect(intruders(/^(@hono\/|hono\b)/, /^src\/(apis|http)\/|^src\/app\.ts$/)).toEqual([]);
  expect(intruders(/^src\/http\//, /^src\/(apis|http)\/|^src\/(app|api|deps)\.ts$/)).toEqual([]);
});

test('no circle of imports', () => {
  const next = new Map<string, string[]>();
  for (const { from, to } of imports) next.set(from, [...(next.get(from) ?? []), to]);
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, way: string[]) => {
    if (way.includes(file)) circles.push([...way.slice(way.indexOf(file)), file].join(' → '));
    if (way.includes(file) || done.has(file)) return;
    for (const to of next.get(file) ?? []) visit(to, [...way, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(circles).toEqual([]);
});

test('the contract imports itself only', () => {
  expect(
    lines(
      imports.filter(({ from, to }) => from.startsWith('workflows/contract/') && !to.startsWith('workflows/contract/')),
    ),
  ).toEqual([]);
});

test('workflows are deterministic: at run time they import themselves and the SDK, of activities only the types', () => {
  expect(strangers(/^workflows\//, /^(workflows\/|@temporalio\/(workflow|common)$)/)).toEqual([]);
  const types = imports.filter(({ from, isTypeOnly }) => from.startsWith('workflows/') && isTypeOnly);
  expect(
    lines(types.filter(({ to }) => !/^(workflows\/|activities\/index\.ts$|@temporalio\/workflow$)/.test(to))),
  ).toEqual([]);
});

test('activities know the nouns, the database, the models and the contract, and nothing of the API', () => {
  const rooms =
    'activities/|db/|workflows/contract/|src/(runs|agents|calls|orchestrations|accounts|code|files|knowledge|temporal|llm|extraction|javascript|sandbox|tools)/';
  const packages = '@temporalio/activity$|node:|zod$|standardwebhooks$';
  expect(
    strangers(/^activities\//, new RegExp(`^(${rooms}|src/(crypto|ids)\\.ts$|src/fetch/index\\.ts$|${packages})`)),
  ).toEqual([]);
});

test('the database knows nobody but the contract, and SQL is in db', () => {
  expect(strangers(/^db\//, /^(db\/|workflows\/contract\/|kysely|pg$|node:)/)).toEqual([]);
  expect(intruders(/^(kysely|pg)\b/, /^db\/|^src\/embedded\//)).toEqual([]);
});

test('outside worlds know nobody, and only they know the vendors and MCP', () => {
  expect(strangers(/^src\/llm\//, /^(?!src\/(?!llm\/|fetch\/index\.ts)|db\/|activities\/|workflows\/)/)).toEqual([]);
  expect(
    strangers(
      /^src\/tools\//,
      /^(?!src\/(?!tools\/|fetch\/index\.ts|javascript\/index\.ts)|db\/|activities\/|workflows\/)/,
    ),
  ).toEqual([]);
  expect(intruders(/^src\/tools\/(?!index\.ts)/, /^src\/tools\//)).toEqual([]);
  expect(
    strangers(
      /^src\/extraction\//,
      /^(?!src\/(?!extraction\/|javascript\/(threads|thread-priority)\.ts)|db\/|activities\/|workflows\/)/,
    ),
  ).toEqual([]);
  expect(intruders(/^src\/extraction\/(?!index\.ts)/, /^src\/extraction\//)).toEqual([]);
  expect(intruders(/^(unpdf|mammoth|turndown|linkedom|@mozilla\/readability)/, /^src\/extraction\//)).toEqual([]);
  expect(strangers(/^src\/sandbox\//, /^(src\/sandbox\/|src\/fetch\/index\.ts$|node:)/)).toEqual([]);
  expect(intruders(/^src\/sandbox\/(?!index\.ts)/, /^src\/sandbox\//)).toEqual([]);
  expect(intruders(/^@modelcontextprotocol\//, /^src\/tools\/mcp\.ts$/)).toEqual([]);
  expect(intruders(/^(openai|@anthropic-ai\/sdk|@google\/genai)/, /^src\/llm\//)).toEqual([]);
  expect(intruders(/^src\/llm\/(?!index\.ts)/, /^src\/llm\//)).toEqual([]);
  expect(intruders(/^src\/fetch\/(?!index\.ts)/, /^src\/fetch\//)).toEqual([]);
});

test('one room speaks Temporal', () => {
  expect(
    intruders(/^@temporalio\/client/, /^src\/temporal\/|^src\/embedded\/|^src\/(migrate|worker-deps)\.ts$/),
  ).toEqual([]);
  expect(
    intruders(
      /^@temporalio\/worker/,
      /^src\/temporal\/(worker-options|bundle-workflows)\.ts$|^src\/worker(-deps)?\.ts$/,
    ),
  ).toEqual([]);
  expect(intruders(/^@temporalio\/activity/, /^activities\//)).toEqual([]);
  expect(intruders(/^activities\//, /^(activities|workflows)\/|^src\/worker(-deps)?\.ts$/)).toEqual([]);
});

test('the environment is read in one place', () => {
  const readers = files.filter((file) => readFileSync(path.join(root, file), 'utf8').includes('process.env'));
  expect(readers).toEqual(['src/config.ts']);
});

test('what few servers need is loaded when it is needed', () => {
  const reached = new Set<string>();
  const visit = (file: string) => {
    if (reached.has(file)) return;
    reached.add(file);
    for (const { to } of atOnce.filter(({ from }) => from === file)) visit(to);
  };
  for (const file of ['src/api.ts', 'src/app.ts', 'src/deps.ts']) visit(file);
  expect(reached).toContain('src/apis/orchstack/oauth/routes.ts');
  // Some 20 MB.
  for (const late of ['oidc-provider', 'light-my-request']) expect(reached).not.toContain(late);
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

test('a workflow looks at its own clock, and at the length of its history where that decides nothing that is not rare', () => {
  const using = (what: RegExp) =>
    files.filter((file) => file.startsWith('workflows/') && what.test(readFileSync(path.join(root, file), 'utf8')));
  expect(using(/\bDate\.now\(\)|\bnew Date\(\)/)).toEqual(['workflows/clock.ts']);
  // Old runs; versions, which only grow; and what fits into one message.
  const lengths = ['workflows/history.ts', 'workflows/projection.ts', 'workflows/rides.ts'];
  expect(using(/\b(continueAsNewSuggested|historyLength)\b/).toSorted()).toEqual(lengths);
});
