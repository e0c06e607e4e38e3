import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startOrchflow, type Orchflow, type User } from '../harness/orchflow.ts';

let orchflow: Orchflow;
let user: User;

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
});
afterAll(() => orchflow.stop());
beforeEach(async () => {
  user = await orchflow.register();
});

/** Starts runs one after another and returns their ids, newest first. */
async function startRuns(count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const run_id = (await user.startRun({ task: `Task ${index}.` })).run_id;
    ids.unshift(run_id);
    // A second apart, so that their order is certain.
    await setCreatedAt([run_id], new Date(Date.UTC(2026, 0, 1, 0, 0, index)));
  }
  return ids;
}

function setCreatedAt(run_ids: string[], date: Date) {
  return orchflow.db
    .updateTable('runs')
    .set({ created_at: date.toISOString() })
    .where('run_id', 'in', run_ids)
    .execute();
}

/** All run ids of the list, page by page. */
async function walk(query: string, betweenPages: () => Promise<unknown> = async () => {}): Promise<string[][]> {
  const pages: string[][] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const { status, body } = await user.get(`/runs?${query}${cursor && `&cursor=${cursor}`}`);
    expect(status).toBe(200);
    expect(body.has_more).toBe(body.next_cursor !== null);
    pages.push(body.runs.map(({ run_id }: { run_id: string }) => run_id));
    cursor = body.next_cursor;
    await betweenPages();
  }
  return pages;
}

test('the history is paged newest first, each run once', async () => {
  const ids = await startRuns(7);
  expect(await walk('limit=3')).toEqual([ids.slice(0, 3), ids.slice(3, 6), ids.slice(6)]);
  expect(await walk('limit=7')).toEqual([ids]);
  expect(await walk('limit=1')).toEqual(ids.map((id) => [id]));
  expect(await walk('limit=100')).toEqual([ids]);
});

test('runs of the same millisecond are paged each once too', async () => {
  const ids = await startRuns(7);
  await setCreatedAt(ids, new Date('2026-01-01T00:00:00.123Z'));
  const paged = (await walk('limit=2')).flat();
  expect(paged).toHaveLength(7);
  expect(new Set(paged)).toEqual(new Set(ids));
});

test('runs that start while one pages neither repeat nor hide others', async () => {
  const ids = await startRuns(7);
  const paged = (await walk('limit=2', () => user.startRun({ task: 'A newer one.' }))).flat();
  expect(paged).toEqual(ids);
});

test('a status selects the runs that have it, over pages', async () => {
  const ids = await startRuns(6);
  const cancelled = ids.filter((_, index) => index % 2 === 0);
  for (const id of cancelled) await user.delete(`/runs/${id}`);
  expect(await walk('limit=2&status=cancelled')).toEqual([cancelled.slice(0, 2), cancelled.slice(2)]);
  expect((await walk('limit=2&status=pending')).flat()).toEqual(ids.filter((id) => !cancelled.includes(id)));
  expect(await walk('status=completed')).toEqual([[]]);
});

test('a page has 20 runs unless told otherwise', async () => {
  await startRuns(21);
  const { body } = await user.get('/runs');
  expect(body.runs).toHaveLength(20);
  expect(body.has_more).toBe(true);
});

test('each entry says what the run is and where it stands, without its texts', async () => {
  const [run_id] = await startRuns(1);
  expect((await user.get('/runs')).body).toEqual({
    runs: [
      {
        run_id,
        kind: 'goal',
        origin: 'orchflow',
        status: 'pending',
        phase: 'queued',
        task: 'Task 0.',
        waiting_tasks: [],
        error: null,
        error_code: null,
        metadata: {},
        tags: [],
        orchestration_id: null,
        agent_id: null,
        created_at: '2026-01-01T00:00:00.000Z',
        start_at: null,
        pending_for: null,
        started_at: null,
        completed_at: null,
        cost_usd: 0,
      },
    ],
    has_more: false,
    next_cursor: null,
  });
});
