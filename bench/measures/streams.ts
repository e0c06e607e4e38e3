import { until } from '../../test/harness/client.ts';
import { comparable } from '../measure.ts';
import type { Servers } from '../servers.ts';
import { ms, type Unit } from '../table.ts';

const runs = 10;
const streams = 500;
const mb: Unit = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;

/** Streams of runs that wait for a person, on an API that does nothing else; then one of the runs is answered. */
export const idleStreams = comparable({
  name: `${streams} streams`,
  rounds: 1,
  rows: {
    memory: { what: `memory of an API with ${streams} idle streams`, unit: mb, bars: [{ most: 300e6 }] },
    before: { what: 'memory of that API before', unit: mb },
    heard: { what: `POST of an answer -> event at the last of ${streams / runs} readers`, unit: ms },
  },
  round: (servers) => followStreams(servers, streams),
});

async function followStreams(servers: Servers, count: number) {
  const { user } = servers;
  const waiting = await Promise.all(
    Array.from({ length: runs }, () => user.startRun({ task: 'Write a report.', ask_me_about: ['the audience'] })),
  );
  // The worker may still be starting.
  await Promise.all(waiting.map((run) => run.until(({ waiting_tasks }) => waiting_tasks.length > 0, 120_000)));
  const api = await servers.startApi({ MAX_OPEN_ANSWERS_PER_ACCOUNT: String(count) });
  const before = await api.memory();

  const closing = new AbortController();
  const readers = Array.from({ length: count }, (_, index) => {
    const reader = { run: waiting[index % runs]!, text: '', answered_at: undefined as number | undefined };
    void follow(reader).catch((error: unknown) => closing.signal.aborted || console.error(error));
    return reader;
  });

  async function follow(reader: (typeof readers)[number]): Promise<void> {
    const { body } = await fetch(`${api.url}/api/v1/runs/${reader.run.run_id}/events`, {
      headers: { 'x-api-key': user.api_key },
      signal: closing.signal,
    });
    const decoder = new TextDecoder();
    for await (const bytes of body!) {
      reader.text += decoder.decode(bytes, { stream: true });
      if (reader.text.includes('event: gate.answered')) reader.answered_at ??= performance.now();
    }
  }

  await until(() => readers.every(({ text }) => text.includes('event: gate.opened')), 'every reader is there', 60_000);
  const memory = await api.memory();
  const [run] = waiting;
  const start = performance.now();
  await run!.complete('T1', { output: 'Freelancers.' });
  const own = readers.filter((reader) => reader.run === run);
  await until(() => own.every(({ answered_at }) => answered_at !== undefined), 'every reader has heard of the answer');
  closing.abort();
  await Promise.all(waiting.map((one) => one.cancel()));
  await api.stop();

  return {
    memory: [memory],
    before: [before],
    heard: [Math.max(...own.map(({ answered_at }) => answered_at! - start))],
  };
}
