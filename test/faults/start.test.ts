import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { choosePort } from '../../src/embedded/ports.ts';
import { isAlive, killRecorded, readPidFile, type ProcessRecord } from '../../src/embedded/processes.ts';
import { assertNoSecret } from '../harness/canaries.ts';
import { register, until } from '../harness/client.ts';
import { askedAgain } from '../harness/asked.ts';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { scriptRun } from '../harness/script.ts';

/** What `npm start` promises to a person: whatever ends it, the next one goes on where it was. */

const names = ['launcher', 'api', 'worker', 'temporal', 'postgres'];
const dataDir = mkdtempSync(path.join(tmpdir(), 'orchflow-start-'));
const logs = path.join(dataDir, 'logs');
const pidFile = (name: string) => path.join(dataDir, 'pids', `${name}.json`);
process.once('exit', cleanUp);

function cleanUp() {
  for (const name of names) killRecorded(pidFile(name));
  rmSync(dataDir, { recursive: true, force: true });
}

let model: FakeModel;
afterEach(async () => {
  await model.close();
  for (const log of readdirSync(logs)) assertNoSecret(readFileSync(path.join(logs, log), 'utf8'), log);
  cleanUp();
  model.assertNothingUnscripted();
});

/** All that runs for this data directory. */
function listRunning(): ProcessRecord[] {
  return names.map((name) => readPidFile(pidFile(name))).filter((record) => record !== undefined);
}

/** `npm start`, in a process group as a terminal makes one. Resolves when it says that it is ready. */
async function npmStart(port: number) {
  const { PATH, HOME, XDG_CACHE_HOME, ORCHFLOW_TEMPORAL_CLI } = process.env;
  const machine = { PATH, HOME, XDG_CACHE_HOME, ORCHFLOW_TEMPORAL_CLI };
  const codec = { CODEC_TOKEN: 'codec-token-canary' };
  const settings = { PORT: String(port), ORCHFLOW_DATA_DIR: dataDir, LOG_LEVEL: 'warn', ...codec };
  const managed = { OPENAI_API_KEY: 'sk-canary', OPENAI_BASE_URL: model.baseUrl('openai') };
  const child = spawn('npm', ['start'], {
    cwd: path.join(import.meta.dirname, '../..'),
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...machine, ...settings, ...managed },
  });
  let output = '';
  onTestFinished(() => assertNoSecret(output, 'what npm start says'));
  let ended: string | undefined;
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => void (output += chunk));
  const exited = new Promise<string>((resolve) => {
    child.once('close', (code, signal) => resolve((ended = signal ?? `exit code ${code}`)));
  });
  await until(
    () => output.includes('Orchflow is ready') || ended !== undefined,
    () => output,
    90_000,
  );
  expect(ended, output).toBeUndefined();
  return {
    ui_url: /Temporal UI +(\S+)/.exec(output)![1]!,
    /** As Ctrl-C does: to npm, to its shell and to the launcher. */
    async interrupt() {
      process.kill(-child.pid!, 'SIGINT');
      await exited;
    },
    /** As a supervisor does: to the launcher only. Resolves with how npm ended then. */
    terminate() {
      killRecorded(pidFile('launcher'), 'SIGTERM');
      return exited;
    },
    async killAll() {
      const records = listRunning();
      for (const pid of [-child.pid!, ...records.map((record) => record.pid)]) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch (error) {
          // It went with the one that was killed before it.
          expect(error).toMatchObject({ code: 'ESRCH' });
        }
      }
      await exited;
      await until(() => !records.some(isAlive), 'all are dead');
    },
  };
}

test(
  'npm start goes on with every run where it was, after a Ctrl-C and after everything was killed',
  { timeout: 240_000 },
  async () => {
    model = await startFakeModel();
    let killed = false;
    scriptRun(model, {
      execute({ run_marker, task_id }) {
        const hangs = run_marker === 'calling' && task_id === 'T1' && !killed;
        return hangs ? { hang: 'before_headers' } : undefined;
      },
    });
    const port = await choosePort();
    const first = await npmStart(port);
    // Its own Web UI may ask for what is encrypted.
    const headers = { origin: first.ui_url, 'access-control-request-method': 'POST' };
    const preflight = await fetch(`http://127.0.0.1:${port}/codec/decode`, { method: 'OPTIONS', headers });
    expect(preflight.headers.get('access-control-allow-origin')).toBe(first.ui_url);
    const user = await register(`http://127.0.0.1:${port}`);
    const waiting = await user.startRun({ task: 'Launch a newsletter [run:waiting]', ask_me_about: ['brand voice'] });
    await waiting.untilWaiting('T1');
    const running = listRunning();
    expect(running).toHaveLength(names.length);
    await first.interrupt();
    expect(running.filter(isAlive)).toEqual([]);

    const second = await npmStart(port);
    expect(await waiting.get()).toMatchObject({ status: 'waiting_human', waiting_tasks: ['T1'] });
    const calling = await user.startRun({ task: 'Launch a newsletter [run:calling]' });
    await calling.until(({ tasks }) => tasks.filter(({ status }) => status === 'completed').length === 2);
    expect(model.openCalls).toBe(1);
    await second.killAll();
    killed = true;

    const third = await npmStart(port);
    expect(await waiting.complete('T1', { output: 'Dry.' })).toMatchObject({ status: 200 });
    const done = await Promise.all([waiting.until('completed'), calling.until('completed')]);
    for (const run of done) expect(run).toMatchObject({ final_output: 'The final output.', warnings: [] });
    expect((await user.get('/runs')).body.runs).toHaveLength(2);
    expect(askedAgain(model)).toEqual(['calling execute T1']);
    expect(await third.terminate()).toBe('exit code 0');
    expect(listRunning()).toEqual([]);
  },
);
