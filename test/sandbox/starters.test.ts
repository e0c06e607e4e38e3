import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import type { Readable, Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { until } from '../harness/orchflow.ts';
import { openSandbox, present } from '../harness/sandboxes.ts';

/** What waits outside of the jails of bubblewrap for the next job. */

const program = path.join(import.meta.dirname, '../../src/sandbox/start.pl');
const limits = { wall_ms: 20_000, memory_bytes: 256 << 20, processes: 32, disk_bytes: 1 << 20, output_bytes: 1_000 };

describe.skipIf(!present.bubblewrap)('what waits for a job', () => {
  test('is one process, for one job, and ends with its sandbox', async () => {
    const open = await openSandbox('bubblewrap');
    const { sandbox, root } = open;
    const one = () => until(() => waiting().length === 1, 'one waits').then(() => waiting()[0]!);
    const before = await one();
    const run = () => sandbox.run({ command: 'echo done', code: root, limits });
    const [first, second] = await Promise.all([run(), run()]);
    expect([first.stdout.text, second.stdout.text]).toEqual(['done\n', 'done\n']);
    expect(await one()).not.toBe(before);
    expect(readFileSync(`/proc/${await one()}/environ`, 'latin1')).toBe('');
    await open.close();
    await until(() => waiting().length === 0, 'none waits');
  });

  test('becomes what it is told without what it was not given, and nothing where it is told only a part', async () => {
    const words = ['/bin/sh', '-c', 'printf "%s|" "$@"', 'sh', 'a\nb', "it's ä€\u{1f600}", '', ' '];
    expect(await told([words.length + 1, '', ...words])).toEqual({ code: 0, said: "a\nb|it's ä€\u{1f600}|| |" });
    expect(await told([words.length + 2, '', ...words])).toEqual({ code: 125, said: '' });
    expect(await told([])).toEqual({ code: 125, said: '' });
    const open = ['/bin/sh', '-c', 'for n in 3 5 6 7 8; do [ ! -e /proc/self/fd/$n ] || printf $n; done'];
    expect(await told([open.length + 1, '', ...open])).toEqual({ code: 0, said: '36' });
  });
});

async function told(words: (string | number)[]): Promise<{ code: unknown; said: string }> {
  // The last are those that a worker was given, and knows nothing of.
  const stdio = ['ignore', 'pipe', 'inherit', 'pipe', 'ignore', 'pipe', 'pipe', 'pipe', 'pipe'] as const;
  const child = spawn('/usr/bin/perl', [program, '6'], { env: {}, stdio: [...stdio] });
  const closed = new Promise((resolve) => child.once('close', resolve));
  (child.stdio as unknown[] as Writable[])[5]!.end(words.map((word) => `${word}\0`).join(''));
  const said = await text(child.stdout as Readable);
  return { code: await closed, said };
}

/** The pids of those of this process. */
function waiting(): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const parent = /\) \w (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1];
      return parent === String(process.pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(program);
    } catch {
      return false;
    }
  });
}
