import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDb, type Db } from '../../db/index.ts';
import type { RunView } from '../../db/run-views.ts';
import { askedAgain } from '../harness/asked.ts';
import { until, type Answer } from '../harness/orchflow.ts';
import { resume, runSteps } from '../harness/orchestration.ts';
import { scriptRun } from '../harness/script.ts';
import { goal, useStory } from '../harness/story.ts';

/** Many requests about one run at once, and a Postgres that undoes what it cannot order. */

const story = useStory();
let rivals: Db;
beforeAll(() => {
  rivals = createDb(story.orchflow.env.DATABASE_URL!, 4);
});
afterAll(() => rivals.destroy());

const times = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, index) => make(index));
const statuses = (answers: Answer[]) => [...new Set(answers.map(({ status }) => status))].toSorted((a, b) => a - b);

/** Makes all requests in the same moment, in an order that mixes their kinds. Returns the answers by kind. */
async function atOnce<K extends string>(kinds: Record<K, (() => Promise<Answer>)[]>): Promise<Record<K, Answer[]>> {
  const answers = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []])) as unknown as Record<K, Answer[]>;
  const most = Math.max(...Object.values<unknown[]>(kinds).map(({ length }) => length));
  const mixed = times(most, (turn) =>
    (Object.keys(kinds) as K[]).flatMap((kind) => (kinds[kind][turn] ? [{ kind, ask: kinds[kind][turn] }] : [])),
  ).flat();
  await Promise.all(mixed.map(async ({ kind, ask }) => answers[kind].push(await ask())));
  return answers;
}

test('answers, cancellations and reruns of one run at once: each gate has one answer, each request the truth, none a 500', async () => {
  const finished = await (await story.start({})).until('completed');
  for (const isCancelled of [false, true]) {
    const run = await story.start({}, { require_approval: true });
    await run.until((view) => view.waiting_tasks.length === 3);
    const answer = (task_id: string) =>
      times(6, (index) => () => run.complete(task_id, { decision: 'edit', output: `Answer ${index} of ${task_id}.` }));
    const told = await atOnce({
      T1: answer('T1'),
      T2: answer('T2'),
      T3: answer('T3'),
      cancel: isCancelled ? times(6, () => run.cancel) : [],
      rerun: times(3, () => () => story.user.post(`/runs/${finished.run_id}/rerun`, { from_task: 'T3' })),
      read: times(6, () => () => story.user.get(`/runs/${run.run_id}`)),
    });
    const done = await run.until(isCancelled ? 'cancelled' : 'completed');

    for (const task of done.tasks) {
      const answers = told[task.id as 'T1'];
      const won = answers.filter(({ status }) => status === 200);
      expect(statuses(answers).filter((status) => status !== 200)).toEqual([409]);
      expect(won.length).toBe(task.gate!.status === 'answered' ? 1 : 0);
      if (!isCancelled) expect(task).toMatchObject({ status: 'completed', gate: { status: 'answered' } });
      if (!isCancelled) expect(task.output).toMatch(new RegExp(`^Answer \\d of ${task.id}\\.$`));
    }
    expect(statuses(told.cancel)).toEqual(isCancelled ? [200] : []);
    expect(statuses([...told.rerun, ...told.read])).toEqual([200, 201]);
    for (const { body } of told.rerun) await story.user.openRun(body.run_id).until('completed');
  }
});

test('approvals and rejections of a budget at once: one decides', async () => {
  const run = await story.start({}, { max_tokens: 3_000 });
  await run.untilWaiting('_budget_1');
  const told = await atOnce({
    approve: times(6, () => () => run.complete('_budget_1', { decision: 'approve' })),
    reject: times(6, () => () => run.complete('_budget_1', { decision: 'reject' })),
  });
  const all = Object.values(told).flat();
  expect(statuses(all)).toEqual([200, 409]);
  expect(all.filter(({ status }) => status === 200)).toHaveLength(1);
  const isApproved = told.approve.some(({ status }) => status === 200);
  const waits = (view: RunView) => view.waiting_tasks.includes('_budget_2');
  const after = await run.until((view) => view.status === 'failed' || waits(view));
  expect(waits(after)).toBe(isApproved);
  await run.cancel();
});

test('resumptions, cancellations and retries of an orchestration at once: one of each kind counts', async () => {
  const { user } = story;
  const paused = await runSteps(user, [
    { id: 'ask', type: 'human', human_prompt: 'Say it', output_key: 'said' },
    { id: 'fail', type: 'transform', transform_code: 'state.said.response.missing.field', output_key: 'x' },
  ]);
  const path = `/orchestrations/runs/${paused.body.run_id}`;
  const told = await atOnce({
    resume: times(6, (index) => () => resume(user, paused, `Answer ${index}`)),
    complete: times(
      6,
      (index) => () => user.post(`/runs/${paused.body.run_id}/tasks/ask/complete`, { output: `${index}` }),
    ),
  });
  const all = Object.values(told).flat();
  expect(statuses(all)).toEqual([200, 409]);
  expect(all.filter(({ status }) => status === 200)).toHaveLength(1);

  await user.openRun(paused.body.run_id).until('failed');
  const { retry } = await atOnce({ retry: times(6, () => () => user.post(`${path}/retry`, {})) });
  expect(statuses(retry).filter((status) => status !== 200)).toEqual([409]);
  await until(async () => (await user.get(path)).body.status === 'failed', 'it fails again');
  const events = story.orchflow.db.selectFrom('run_events').select('type').where('run_id', '=', paused.body.run_id);
  const types = (await events.execute()).map(({ type }) => type);
  const count = (type: string) => types.filter((other) => other === type).length;
  expect(count('gate.answered')).toBe(1);
  expect(count('run.retried')).toBe(retry.filter(({ status }) => status === 200).length);
  expect(count('run.failed')).toBe(1 + count('run.retried'));
});

test('a request that Postgres ends to resolve a deadlock is a 503, has done nothing, and can be made again', async () => {
  const run = await story.start({}, { ask_me_about: ['budget'] });
  await run.untilWaiting('T1');
  const blocked = sql`
    select from pg_stat_activity where wait_event_type = 'Lock' and wait_event = 'transactionid'
      and datname = current_database()`;
  for (const ask of [() => run.complete('T1', { output: 'Ten euros.' }), run.cancel]) {
    const before = await run.get();
    await rivals.transaction().execute(async (rival) => {
      // The other one shall be the victim.
      await sql`set local deadlock_timeout = '1min'`.execute(rival);
      await sql`select from gates where run_id = ${run.run_id} for update`.execute(rival);
      const asking = ask();
      await until(async () => (await blocked.execute(rivals)).rows.length > 0, 'it has the run and waits for the gate');
      const locking = sql`select from runs where run_id = ${run.run_id} for update`.execute(rival);
      expect(await asking).toMatchObject({ status: 503, body: { code: 'UNAVAILABLE' } });
      await locking;
    });
    expect(await run.get()).toEqual(before);
  }
  expect(await run.complete('T1', { output: 'Ten euros.' })).toMatchObject({ status: 200 });
  expect((await run.until('completed')).tasks[0]).toMatchObject({ output: 'Ten euros.', status: 'completed' });
});

/** Asks again as long as it is told to come back later. */
async function insist(ask: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    const answer = await ask();
    if (answer.status !== 503) return answer;
  }
}

test('writes of every kind are undone again and again, by deadlocks and serialization failures: no model is paid twice for it', async () => {
  const { orchflow, user, model, provider_id } = story;
  const tables = ['runs', 'tasks', 'gates', 'texts', 'llm_calls', 'run_events', 'outbox'];
  await sql`
    create function fail_at_times() returns trigger language plpgsql as $$
    declare
      n bigint := nextval('writes_of_' || tg_table_name);
    begin
      if n > 2 and n % 7 > 0 then return new; end if;
      if n % 2 = 0 then raise exception 'injected' using errcode = '40P01'; end if;
      raise exception 'injected' using errcode = '40001';
    end $$`.execute(orchflow.db);
  for (const table of tables) {
    await sql`create sequence ${sql.ref(`writes_of_${table}`)}`.execute(orchflow.db);
    await sql`create trigger fault before insert on ${sql.ref(table)} for each row execute function fail_at_times()`.execute(
      orchflow.db,
    );
  }
  scriptRun(model);
  const started = await insist(() => user.post('/runs', { task: goal, ask_me_about: ['budget'], provider_id }));
  expect(started.status).toBe(201);
  const run = user.openRun(started.body.run_id);
  await run.untilWaiting('T1');
  // Longer than a failed activity waits before it is tried again.
  model.latency_ms = 1_300;
  expect(await insist(() => run.complete('T1', { output: 'Ten euros.' }))).toMatchObject({ status: 200 });
  const done = await run.until('completed');
  expect(askedAgain(model)).toEqual([]);
  expect(done).toMatchObject({ warnings: [], usage: { llm_calls: 9 } });
  expect((await user.get('/runs')).body.runs).toHaveLength(1);
  for (const table of tables) {
    const { rows } = await sql<{ hit: boolean }>`
      select last_value > 2 as hit from ${sql.ref(`writes_of_${table}`)}`.execute(orchflow.db);
    expect(rows, table).toEqual([{ hit: true }]);
    await sql`drop trigger fault on ${sql.ref(table)}`.execute(orchflow.db);
  }
});
