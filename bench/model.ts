import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';

export type ModelCall = { call: string; at: number };
export type Model = Awaited<ReturnType<typeof startModel>>;

/** The fake model of all builds, a process of its own that ends with this one. */
export async function startModel() {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, 'fake-model.ts')], {
    env: {},
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  process.once('exit', () => child.kill('SIGKILL'));
  const calls: ModelCall[] = [];
  const lines = createInterface({ input: child.stdout });
  const url = await new Promise<string>((resolve, reject) => {
    lines.once('line', resolve);
    child.once('exit', () => reject(new Error('The fake model ended.')));
  });
  lines.on('line', (line) => calls.push(JSON.parse(line)));
  const model = {
    url,
    latency_ms: 0,
    /** The calls of runs whose goal has a `[run:…]` in it. */
    calls,
    answerAfter(latency_ms: number) {
      model.latency_ms = latency_ms;
      child.stdin.write(`${latency_ms}\n`);
    },
  };
  return model;
}
