import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Client, Connection } from '@temporalio/client';
import { Webhook } from 'standardwebhooks';
import { createDb, type Db } from '../../db/index.ts';
import { startFakeModel } from '../fakes/model.ts';
import { startFakeWebhook } from '../fakes/webhook.ts';
import { createEnvironment, until } from '../harness/orchflow.ts';
import { killProcesses, startApiProcess, startWorkerProcess } from '../harness/processes.ts';
import { scriptRun } from '../harness/script.ts';

/** The clock of a machine is wrong. What readers see, and what waits, goes by the clocks of Postgres and Temporal. */

let env: Record<string, string>;
let db: Db;
beforeAll(async () => {
  env = await createEnvironment();
  db = createDb(env.DATABASE_URL!, 2);
});
afterAll(async () => {
  await killProcesses();
  await db.destroy();
});

const hour = 3_600_000;

/** The environment of a process whose clock is so many milliseconds ahead, or behind. */
function withClock(ahead_ms: number) {
  const shift = `
    const ahead = ${ahead_ms}, { now } = Date;
    Date.now = () => now() + ahead;
    globalThis.Date = new Proxy(Date, {
      construct: (of, given, as) => Reflect.construct(of, given.length ? given : [of.now()], as),
      apply: (of) => new of(of.now()).toString(),
    });`;
  return { ...env, NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(shift)}` };
}

/** Every time in the database that is far from now, but those that are to come. */
async function listWrongTimes(): Promise<string[]> {
  const columns = await sql<{ table_name: string; column_name: string }>`
    select table_name, column_name from information_schema.columns
    where table_schema = 'public' and data_type = 'timestamp with time zone'`.execute(db);
  const wrong = columns.rows
    .filter(({ column_name }) => !['due_at', 'expires_at'].includes(column_name))
    .map(async ({ table_name, column_name }) => {
      const column = sql.ref(column_name);
      const { rows } = await sql<{ time: string }>`
        select ${column} as time from ${sql.table(table_name)}
        where ${column} not between now() - interval '5 minutes' and now() + interval '5 minutes'`.execute(db);
      return rows.map(({ time }) => `${table_name}.${column_name} ${time}`);
    });
  return (await Promise.all(wrong)).flat();
}

test('an API three days ahead and a worker an hour behind: every time is right, gates are due when they should be, webhooks verify', async () => {
  const [model, endpoint] = await Promise.all([startFakeModel(), startFakeWebhook()]);
  scriptRun(model);
  const [api] = await Promise.all([startApiProcess(withClock(72 * hour)), startWorkerProcess(withClock(-hour))]);
  const user = await api.register();
  const terms = { task: 'Launch a newsletter', provider_id: await user.addProvider(model), ask_me_about: ['budget'] };
  const [soon, later, cancelled, lost] = await Promise.all([
    user.startRun({ ...terms, gate_due_in: '1s', webhook_url: endpoint.url }),
    user.startRun({ ...terms, gate_due_in: '1h' }),
    user.startRun(terms),
    user.startRun(terms),
  ]);
  await Promise.all([soon, later, cancelled, lost].map((run) => run.untilWaiting('T1')));
  expect(await cancelled.cancel()).toMatchObject({ status: 200 });
  const connection = await Connection.connect({ address: env.TEMPORAL_ADDRESS });
  await new Client({ connection }).workflow.getHandle(lost.run_id).terminate();

  const overdue = await endpoint.untilReceived('gate.overdue');
  new Webhook(user.webhook_secret).verify(overdue.body, overdue.headers as Record<string, string>);
  const { gate } = await later.task('T1');
  expect(gate).toMatchObject({ status: 'open' });
  expect(Date.parse(gate!.due_at!) - Date.parse(gate!.opened_at)).toBe(hour);

  await Promise.all([soon, later].map((run) => run.complete('T1', { output: 'Ten euros.' })));
  await Promise.all([soon.until('completed'), later.until('completed'), lost.until('failed')]);
  const rerun = await user.post(`/runs/${later.run_id}/rerun`, { from_task: 'T4' });
  expect(rerun, JSON.stringify(rerun.body)).toMatchObject({ status: 201 });
  await user.openRun(rerun.body.run_id).until('completed');
  const delivered = async () => (await user.get('/webhooks/deliveries?status=delivered')).body.deliveries.length === 3;
  await until(delivered, 'all is delivered');

  const { runs } = (await user.get('/runs')).body;
  expect(runs.map(({ run_id }: { run_id: string }) => run_id)[0]).toBe(rerun.body.run_id);
  expect(await listWrongTimes()).toEqual([]);
  await Promise.all([model.close(), endpoint.close(), connection.close()]);
  model.assertNothingUnscripted();
});
