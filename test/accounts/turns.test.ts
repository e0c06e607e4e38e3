import { afterAll, beforeAll, expect, test } from 'vitest';
import { define } from '../harness/orchestration.ts';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';

/** Accounts take turns: Temporal gives a worker what waits for it from the queue of each of them. */

let orchflow: Orchflow;
beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
});
afterAll(() => orchflow.stop());

/** Starts so many, one after another, and resolves with their ids when Temporal has heard of them. */
async function startRuns(user: User, count: number): Promise<string[]> {
  const id = await define(user, [{ id: 'print', type: 'print', print_content: 'Hello' }]);
  const run_ids: string[] = [];
  for (let n = 0; n < count; n += 1) {
    const { status, body } = await user.insist('POST', `/orchestrations/${id}/run?wait=0`, { message: 'Go.' });
    expect(status).toBe(202);
    run_ids.push(body.run_id);
  }
  const waiting = () => orchflow.db.selectFrom('outbox').select('run_id').execute();
  await until(async () => (await waiting()).length === 0, 'Temporal has heard of all');
  return run_ids;
}

test('a run begins before most of those that another account has started before it', async () => {
  const many = await startRuns(await orchflow.register(), 60);
  const [late] = await startRuns(await orchflow.register(), 1);
  await orchflow.startWorker();
  const begun = () =>
    orchflow.db.selectFrom('runs').select('run_id').where('started_at', 'is not', null).orderBy('started_at').execute();
  await until(async () => (await begun()).length === many.length + 1, 'all have begun');
  const place = (await begun()).findIndex(({ run_id }) => run_id === late);
  expect(place).toBeLessThan(many.length / 2);
});
