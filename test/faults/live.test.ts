import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { readEvents, type Reader } from '../harness/event-stream.ts';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';
import { endProcesses, startApiProcess, startWorkerProcess } from '../harness/processes.ts';
import { replayHistories } from '../harness/replay.ts';
import { scriptRun } from '../harness/script.ts';

/** Streams over processes: the worker is one, and so are the APIs that come and go. */

let orchflow: Orchflow;
let user: User;
let model: FakeModel;
let provider_id: string;
const readers: Reader[] = [];

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
});
afterAll(() => replayHistories(orchflow).finally(() => orchflow.stop()));
beforeEach(async () => {
  [user, model] = await Promise.all([orchflow.register(), startFakeModel()]);
  provider_id = await user.addProvider(model);
});
afterEach(async () => {
  readers.splice(0).forEach((reader) => reader.close());
  await endProcesses(model);
});

function follow(url: string, run_id: string): Reader {
  const reader = readEvents(user, url, run_id);
  readers.push(reader);
  return reader;
}

const startWorker = () => startWorkerProcess(orchflow.env);
const startApi = (PORT = '0') => startApiProcess({ ...orchflow.env, PORT });
const task = 'Launch a newsletter';

test('readers at two APIs see the same, over a restart of one and the death of the other', async () => {
  scriptRun(model);
  const [first, second] = await Promise.all([startApi(), startApi(), startWorker()]);
  const run = await user.startRun({ task, provider_id, require_approval: true });
  const [one, other] = [follow(first.url, run.run_id), follow(second.url, run.run_id)];
  await one.until(() => one.told().includes('gate.opened T1'));
  await other.until(() => other.told().includes('gate.opened T1'));

  // Stopped in order, with a reader on it: it ends at once, and the reader goes on at the one that comes after.
  expect(await first.kill('SIGTERM')).toBe('exit code 0');
  await run.complete('T1', { output: 'Fine.' });
  await second.kill('SIGKILL');
  await run.untilWaiting('T2');
  await Promise.all([startApi(first.port), startApi(second.port)]);
  for (const task_id of ['T2', 'T3']) {
    await run.untilWaiting(task_id);
    await run.complete(task_id, { output: 'Fine.' });
  }
  await Promise.all([one.untilDone(), other.untilDone()]);
  expect(one.seqs()).toEqual(one.events.map((_, index) => index + 1));
  expect(other.events).toEqual(one.events);
  expect(one.told().at(-1)).toBe('run.completed');
});

test('a worker killed amid a stream: another begins the text anew, and the answer is whole', async () => {
  const { promise: never } = Promise.withResolvers<string>();
  async function* halfOfIt() {
    yield 'The worker dies here, ';
    yield await never;
  }
  let calls = 0;
  scriptRun(model, {
    dependencies: { T2: ['T1'], T3: ['T2'] },
    execute: ({ task_id }) => {
      if (task_id !== 'T1') return undefined;
      calls += 1;
      return calls === 1 ? { say: halfOfIt() } : 'Written as a whole.';
    },
  });
  const worker = await startWorker();
  const run = await user.startRun({ task, provider_id });
  const reader = follow(orchflow.url, run.run_id);
  await reader.until(() => reader.streamed('T1') === 'The worker dies here, ');
  await worker.kill();
  await startWorker();
  await reader.untilDone();

  expect(calls).toBe(2);
  expect(reader.streamed('T1')).toBe('Written as a whole.');
  expect(await run.task('T1')).toMatchObject({ output: 'Written as a whole.', attempts: 1 });
  expect(reader.seqs()).toEqual(reader.events.map((_, index) => index + 1));
  const started = reader.told().filter((line) => line.startsWith('task.started'));
  expect(started).toEqual([...new Set(started)]);
});
