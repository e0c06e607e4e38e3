import { afterEach, expect, test } from 'vitest';
import { readEvents, type Reader } from '../harness/event-stream.ts';
import { startApiProcess } from '../harness/processes.ts';
import { scriptRun } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';

/** Streams over processes: the worker is one, and so are the APIs that come and go. */

const story = useStory({}, { worker: false });
const readers: Reader[] = [];

afterEach(async () => {
  readers.splice(0).forEach((reader) => reader.close());
});

function follow(url: string, run_id: string): Reader {
  const reader = readEvents(story.user, url, run_id);
  readers.push(reader);
  return reader;
}

const startApi = (PORT = '0') => startApiProcess({ ...story.orchflow.env, PORT });
const task = 'Launch a newsletter';

test('readers at two APIs see the same, over a restart of one and the death of the other', async () => {
  scriptRun(story.model);
  const [first, second] = await Promise.all([startApi(), startApi(), story.startWorkerHere()]);
  const run = await story.user.startRun({ task, provider_id: story.provider_id, require_approval: true });
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
  scriptRun(story.model, {
    dependencies: { T2: ['T1'], T3: ['T2'] },
    execute: ({ task_id }) => {
      if (task_id !== 'T1') return undefined;
      calls += 1;
      return calls === 1 ? { say: halfOfIt() } : 'Written as a whole.';
    },
  });
  const worker = await story.startWorkerProcess();
  const run = await story.user.startRun({ task, provider_id: story.provider_id });
  const reader = follow(story.orchflow.url, run.run_id);
  await reader.until(() => reader.streamed('T1') === 'The worker dies here, ');
  await worker.kill();
  await story.startWorkerHere();
  await reader.untilDone();

  expect(calls).toBe(2);
  expect(reader.streamed('T1')).toBe('Written as a whole.');
  expect(await run.task('T1')).toMatchObject({ output: 'Written as a whole.', attempts: 1 });
  expect(reader.seqs()).toEqual(reader.events.map((_, index) => index + 1));
  const started = reader.told().filter((line) => line.startsWith('task.started'));
  expect(started).toEqual([...new Set(started)]);
});
