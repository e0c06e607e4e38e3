import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { useStory } from '../harness/story.ts';

/** Runs that are looked at all the time, as by the page of the Web UI that is open: what they do is replayed as it was. */

const story = useStory();

test('a run is asked what it is doing while it writes, and goes on when its history is replayed', async () => {
  const { db, client } = story.orchflow;
  await sql`create function write_slowly() returns trigger language plpgsql as
    $$ begin perform pg_sleep(0.05 + random() * 0.2); return new; end $$`.execute(db);
  await sql`create trigger slow before insert on gates for each row execute function write_slowly()`.execute(db);
  const script = { plan: ['Research', 'Compare', 'Estimate', 'Check', 'Price'], dependencies: { T5: ['T1'] } };
  const runs = await Promise.all(Array.from({ length: 4 }, () => story.start(script, { require_approval: true })));
  const ended = Promise.all(
    runs.map(async (run) => {
      for (;;) {
        const { status, tasks } = await run.until(({ status: now }) => now !== 'pending' && now !== 'running');
        if (status !== 'waiting_human') return status;
        await Promise.all(
          tasks
            .filter(({ gate }) => gate?.status === 'open')
            .map(({ id, gate }) => run.complete(id, { gate_id: gate!.gate_id })),
        );
      }
    }),
  );
  let isOver = false;
  void ended.finally(() => (isOver = true)).catch(() => {});
  await Promise.all(
    runs.map(async ({ run_id }) => {
      const handle = client.workflow.getHandle(run_id);
      while (!isOver) await handle.query('runState').catch(() => {});
    }),
  );
  expect(await ended).toEqual(Array(4).fill('completed'));
  // What it makes of chance is seen some of the times; what makes it possible, each time.
  const histories = await Promise.all(runs.map(({ run_id }) => client.workflow.getHandle(run_id).fetchHistory()));
  const markers = histories.flatMap(({ events }) =>
    events!.flatMap(({ markerRecordedEventAttributes: marker }) => marker?.markerName ?? []),
  );
  expect(markers.filter((name) => name !== 'core_patch')).toEqual([]);
});
