import { afterAll, beforeAll, expect, test } from 'vitest';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';

/** Code of definitions is read when they are saved, and in nobody's way. */

let orchflow: Orchflow;
let user: User;
beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
  user = await orchflow.register();
});
afterAll(() => orchflow.stop());

const check = { id: 'check', name: 'Check', type: 'if_else', if_condition: 'state.answer', if_true_step_id: 'done' };
const done = { id: 'done', name: 'Done', type: 'end' };

test('code that takes long to read is in the way of nobody else, however often it comes', async () => {
  // 1,999 classes of a regex, each of which the compiler makes anew.
  const checks = Array.from({ length: 60 }, (_, n) => ({
    ...check,
    id: `check${n}`,
    if_condition: `/${String.raw`\p{L}`.repeat(1_999)}/iu`,
    if_true_step_id: `check${n + 1}`,
  }));
  const definition = { name: 'Mine', entry_step_id: 'check0', steps: [...checks, { ...done, id: 'check60' }] };
  const other = await orchflow.register();
  let isRead = false;
  const reading = Promise.all(
    Array.from({ length: 3 }, () => user.post('/orchestrations/validate', definition)),
  ).finally(() => (isRead = true));
  const statuses: number[] = [];
  while (!isRead) statuses.push((await other.get('/orchestrations')).status);
  expect(statuses.length).toBeGreaterThan(2);
  expect(new Set(statuses)).toEqual(new Set([200]));
  for (const { status, body } of await reading) {
    if (status === 200) expect(body.errors).toMatchObject([{ detail: expect.stringContaining('too long to read') }]);
    // The others of the account have waited for its thread, or the machine had no time for it.
    else expect(body.type).toBe('/problems/unavailable');
  }
});

test('code that is long and sound is kept', async () => {
  const if_condition = `state.answer // ${'the answer is asked for above. '.repeat(40)}`;
  const definition = { name: 'Mine', entry_step_id: 'check', steps: [{ ...check, if_condition }, done] };
  // What was asked for above may still be read.
  const other = await orchflow.register();
  await until(async () => (await other.post('/orchestrations', definition)).status === 201, 'it is kept');
});
