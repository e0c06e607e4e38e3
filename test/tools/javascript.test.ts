import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { expect, test } from 'vitest';
import { NoThreadError, runJavaScript, syntaxFaults, type Source } from '../../src/javascript/index.ts';
import { until } from '../harness/client.ts';

/** Code that users and models write. */

const owner = 'acc_1';
const run = async (code: string, variables: Record<string, unknown> = {}, timeout_ms = 5_000) =>
  (await runJavaScript(code, variables, { owner, timeout_ms })).value;

test('an expression gives its value; statements give what they return, or what they assign to `result`', async () => {
  const state = { score: 7, items: [{ price: 2 }, { price: 3 }] };
  expect(await run('state.score > 3 // a comment', { state })).toBe(true);
  expect(await run('state.items.reduce((sum, { price }) => sum + price, 0)', { state })).toBe(5);
  expect(await run('const half = state.score / 2;\nreturn { half }', { state })).toEqual({ half: 3.5 });
  expect(await run('result = state.items.length;', { state })).toBe(2);
  expect(await run('[1, undefined, NaN]')).toEqual([1, null, null]);
  expect(await run('undefined')).toBeNull();
  expect(await runJavaScript('console.log("seen", { a: 1 }); return 1', {}, { owner, timeout_ms: 5_000 })).toEqual({
    value: 1,
    logs: ['seen {"a":1}'],
  });
});

test('what the code changes is its own copy, and what it does to the builtins harms nobody', async () => {
  const state = { list: [1] };
  expect(await run('state.list.push(2); JSON.stringify = () => 5; return state', { state })).toEqual({ list: [1, 2] });
  expect(state).toEqual({ list: [1] });
  await expect(run('Object.prototype.toJSON = () => 7; return {}')).rejects.toThrow('not JSON');
});

test.each(['process.env', 'require("fs")', 'fetch("http://localhost")', 'import("node:fs")', 'setTimeout(() => {})'])(
  'the code reaches nothing outside: %s',
  async (code) => {
    await expect(run(code)).rejects.toThrow(/is not defined|not a promise/);
  },
);

test('faults of the code are told in its own words', async () => {
  await expect(run('state.missing.field', { state: {} })).rejects.toThrow(/^TypeError: .*'field' of undefined/);
  await expect(run('throw new RangeError("too far")')).rejects.toThrow('RangeError: too far');
  await expect(run('throw "just so"')).rejects.toThrow('The code threw "just so".');
  await expect(run('10n')).rejects.toThrow(/BigInt/);
  await expect(run('"y".repeat(2e6)')).rejects.toThrow('longer than');
});

test.each([
  ['an endless loop', 'while (true) {}'],
  ['a regular expression that backtracks for ever', '/(a+)+$/.test("a".repeat(60) + "b")'],
])('%s ends at the time limit', async (_name, code) => {
  await expect(run(code, {}, 200)).rejects.toThrow('did not end within 0.2 seconds');
});

test('a memory bomb ends at the memory limit, and a deep recursion at the stack', async () => {
  const limits = { owner, timeout_ms: 30_000, memory_bytes: 8 * 1024 * 1024 };
  await expect(runJavaScript('const all = []; while (true) all.push({})', {}, limits)).rejects.toThrow('more memory');
  await expect(run('(function again() { again(); })()')).rejects.toThrow('stack overflow');
  await expect(run('('.repeat(10_000))).rejects.toThrow(/stack/);
});

test('a cancelled evaluation stops at once, and many at a time all end', async () => {
  const cancel = new AbortController();
  const endless = runJavaScript('while (true) {}', {}, { owner, timeout_ms: 60_000, signal: cancel.signal });
  cancel.abort(new Error('cancelled'));
  await expect(endless).rejects.toThrow('cancelled');
  // Whoever finds no thread for a while comes again, as an activity does.
  const double = (n: number): Promise<unknown> =>
    run('n * 2', { n }).catch((error) => {
      if (error instanceof NoThreadError) return double(n);
      throw error;
    });
  const values = await Promise.all(Array.from({ length: 9 }, (_, n) => double(n)));
  expect(values).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16]);
});

/** The threads of this process that give way to it. */
function behind(): string[] {
  return readdirSync('/proc/self/task').filter((id) => {
    try {
      const stat = readFileSync(`/proc/self/task/${id}/stat`, 'utf8');
      // Fields stand behind the name in parentheses, which may hold anything.
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]) > getPriority();
    } catch {
      return false; // it has ended
    }
  });
}

test.runIf(process.platform === 'linux')('a script gives way to everything else, and nothing else does', async () => {
  const cancel = new AbortController();
  const before = new Set(behind());
  const endless = runJavaScript('while (true) {}', {}, { owner, timeout_ms: 60_000, signal: cancel.signal });
  await until(() => behind().filter((id) => !before.has(id)).length === 1, 'its thread gives way').finally(() => {
    cancel.abort(new Error('cancelled'));
    return expect(endless).rejects.toThrow('cancelled');
  });
});

test.each([1, 1_000])(
  "syntax is checked without running anything, and so that what is long is in nobody's way (%i)",
  async (times) => {
    const padding = ' '.repeat(times);
    const sources: [code: string, allowed: Source['allowed'], fault: RegExp | undefined][] = [
      ['state.a > 1', 'expression', undefined],
      ['while (true) {}', 'statements', undefined],
      ['return 1', 'expression', /SyntaxError/],
      ['const = 1', 'statements', /SyntaxError/],
      ['', 'expression', /is empty/],
      ['1', 'expression', undefined],
    ];
    const faults = await syntaxFaults(
      owner,
      sources.map(([code, allowed]) => ({ code: code + padding, allowed })),
    );
    for (const [index, [, , fault]] of sources.entries()) {
      if (fault) expect(faults[index]).toMatch(fault);
      else expect(faults[index]).toBeUndefined();
    }
  },
);

test('what takes too long to read is a fault, and what comes after it is not read', async () => {
  const heavy = `/${String.raw`\p{L}`.repeat(1_999)}/iu`;
  const sources = Array.from({ length: 60 }, (): Source => ({ code: heavy, allowed: 'expression' }));
  const faults = await syntaxFaults(owner, [...sources, { code: '(', allowed: 'expression' }]);
  expect(faults.at(-1)).toMatch(/too long to read/);
  expect(faults.slice(0, -1).every((fault) => fault === undefined)).toBe(true);
  expect(faults.length).toBeLessThan(60);
});

test('syntax that is nested too deeply is a fault, and what comes after it is read', async () => {
  const sources = ['('.repeat(10_000), '1'].map((code): Source => ({ code, allowed: 'expression' }));
  expect(await syntaxFaults(owner, sources)).toEqual([expect.stringMatching(/nested too deeply/), undefined]);
});
