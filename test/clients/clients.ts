import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { choosePort } from '../../src/embedded/ports.ts';
import { until } from '../harness/client.ts';
import { listClients, runClient } from './run.ts';

/**
 * `npm run clients`, or `npm run clients -- go` for those that are so named: starts an Orchflow of its own with the demo
 * model, generates clients from its `/openapi.json`, and runs the whole flow with each. One whose tools are missing is
 * skipped, in words.
 */
const wanted = process.argv[2] ?? '';
const orchflow = await startOrchflow();
const counts = { passed: 0, failed: 0, skipped: 0 };
try {
  for (const name of await listClients()) {
    if (!name.includes(wanted)) continue;
    const { status, output } = await runClient(name, orchflow.url);
    counts[status] += 1;
    const why = { passed: '', failed: `\n${output}`, skipped: `: ${output.split('\n').at(-1)}` }[status];
    console.log(`${name} ${status}${why}`);
  }
} finally {
  await orchflow.stop();
}
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed > 0 ? 1 : 0;

/** As `npm start` does, in a folder of its own. */
async function startOrchflow() {
  const { PATH, HOME } = process.env;
  const dir = await mkdtemp(path.join(tmpdir(), 'orchflow-clients-'));
  const PORT = String(await choosePort());
  const url = `http://127.0.0.1:${PORT}`;
  const child = spawn(process.execPath, [path.join(import.meta.dirname, '../../src/dev.ts')], {
    env: { PATH, HOME, PORT, HOST: '127.0.0.1', ORCHFLOW_DATA_DIR: dir },
    stdio: 'ignore',
  });
  const ended = once(child, 'exit');
  const isUp = () =>
    fetch(`${url}/health`)
      .then(({ ok }) => ok)
      .catch(() => false);
  await Promise.race([
    until(isUp, 'the API answers'),
    ended.then(() => Promise.reject(new Error('It did not start.'))),
  ]);
  return {
    url,
    async stop() {
      child.kill('SIGTERM');
      await ended;
      await rm(dir, { recursive: true, force: true });
    },
  };
}
