import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { workflowBundle } from '../../src/temporal/workflow-bundle.ts';

/** The bundle of a checkout that has two files of workflows. */

const own = path.join(import.meta.dirname, '../..');
let root: string;

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'orchflow-checkout-'));
  mkdirSync(path.join(root, 'node_modules'));
  for (const name of readdirSync(path.join(own, 'node_modules')).filter((name) => name !== '.cache')) {
    if (name === '.package-lock.json')
      cpSync(path.join(own, 'node_modules', name), path.join(root, 'node_modules', name));
    else symlinkSync(path.join(own, 'node_modules', name), path.join(root, 'node_modules', name));
  }
  mkdirSync(path.join(root, 'workflows'));
  write('index.ts', `export { greet } from './greet.ts';`);
  write('greet.ts', greeting('Hello'));
  write('interceptors.ts', `export const interceptors = () => ({});`);
  write('failure-converter.ts', `export { DefaultFailureConverter as failureConverter } from '@temporalio/common';`);
});
afterEach(() => rmSync(root, { recursive: true }));

const write = (name: string, text: string) => writeFileSync(path.join(root, 'workflows', name), text);
const greeting = (word: string) => `export async function greet(): Promise<string> { return '${word}, marker.'; }`;
const bundle = async (encrypts = false) => (await workflowBundle({ encrypts, root })).codePath;
const cache = () => path.join(root, 'node_modules/.cache/orchflow');
const cached = () => readdirSync(cache());

test('the bundle is made once, and anew when a workflow, what is installed, or the payloads are others', async () => {
  const first = await bundle();
  expect(readFileSync(first, 'utf8')).toContain('Hello, marker.');
  // A bundle that is found is not made.
  writeFileSync(first, 'as it was');
  expect(await bundle()).toBe(first);
  expect(readFileSync(first, 'utf8')).toBe('as it was');

  write('greet.ts', greeting('Good evening'));
  const second = await bundle();
  expect(second).not.toBe(first);
  expect(readFileSync(second, 'utf8')).toContain('Good evening, marker.');
  const lock = path.join(root, 'node_modules/.package-lock.json');
  writeFileSync(lock, readFileSync(lock, 'utf8').replace('1.24.0', '1.24.1'));
  const third = await bundle();
  expect(third).not.toBe(second);
  const encrypting = await bundle(true);
  expect(readFileSync(encrypting, 'utf8')).toContain('failure-converter.ts');
  expect(readFileSync(third, 'utf8')).not.toContain('failure-converter.ts');

  write('greet.ts', greeting('Hello'));
  writeFileSync(lock, readFileSync(lock, 'utf8').replace('1.24.1', '1.24.0'));
  expect(await bundle()).toBe(first);
  // Nothing half-written is left, and nothing else.
  expect(cached().toSorted()).toEqual([first, second, third, encrypting].map((file) => path.basename(file)).toSorted());
});

test('several need it at once: as soon as it has its name, it is whole', async () => {
  const making = Promise.all([bundle(), bundle()]);
  const named = () => existsSync(cache()) && cached().find((name) => /^workflows-\w+\.js$/.test(name));
  while (!named()) await setImmediate();
  const found = readFileSync(path.join(cache(), named() as string), 'utf8');
  const [file, other] = await making;
  expect(other).toBe(file);
  expect(found).toMatch(/\/\/# sourceMappingURL=data:application\/json;charset=utf-8;base64,[\w+/]+=*$/);
  expect(readFileSync(file, 'utf8')).toBe(found);
  expect(cached()).toHaveLength(1);
});

test('where nothing can be written beside the packages, workers get one all the same', async () => {
  writeFileSync(path.join(root, 'node_modules/.cache'), 'in the way');
  const file = await bundle();
  expect(readFileSync(file, 'utf8')).toContain('Hello, marker.');
  rmSync(path.dirname(file), { recursive: true });
});

test('faulty workflows: no bundle, and the fault is told', async () => {
  write('greet.ts', 'export const = ;');
  await expect(bundle()).rejects.toThrow(/The workflows cannot be bundled:[^]*greet\.ts/);
  expect(cached()).toEqual([]);
});
