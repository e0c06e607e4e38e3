import { expect, test } from 'vitest';
import { sql } from 'kysely';
import { findInboxItem, listInbox, type InboxFilter, type InboxItem } from '../../db/inbox.ts';
import { startOrchflow, type User } from '../harness/orchflow.ts';
import { startSteps } from '../harness/orchestration.ts';
import { addPerson } from '../harness/people.ts';
import { expectFault } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';
import { insertWaitingGates } from '../harness/waiting-gates.ts';

/** What waits for people, as an account and as each of them sees it. */

const story = useStory();

const add = (person: object) => addPerson(story.user, story.orchflow.url, person);

/** An orchestration that asks a person of these skills. */
async function ask(skills: string[], more: object = {}, by = story.user): Promise<{ run_id: string; gate_id: string }> {
  const { status, body } = await startSteps(
    by,
    [{ id: 'ask', type: 'human', human_prompt: 'Is it legal?', skills }],
    more,
  );
  expect(status, JSON.stringify(body)).toBe(200);
  return { run_id: body.run_id, gate_id: `${body.run_id.replace('run_', 'gate_')}_ask_1` };
}

const gatesOf = async (user: User, query = '') => {
  const { status, body } = await user.get(`/inbox${query}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body.gates.map(({ gate_id }: { gate_id: string }) => gate_id);
};

test('it has what a person needs to decide: question, material, draft and decisions', async () => {
  const anna = await add({ skills: ['legal'] });
  const long = 'x'.repeat(3_000);
  const run = await story.start(
    {
      plan: ['Draft the terms', 'Get legal approval', 'Publish them'],
      dependencies: { T2: ['T1'], T3: ['T2'] },
      execute: ({ task_id }) => (task_id === 'T1' ? long : undefined),
    },
    { human_gates: [{ name: 'legal approval', skills: ['legal'], gate_due_in: '1d' }], require_approval: true },
  );
  await run.untilWaiting('T1');
  const draft = (await story.user.get('/inbox')).body.gates;
  expect(draft).toMatchObject([
    { task_id: 'T1', kind: 'approval', skills: [], person: null, due_at: null, material: [] },
  ]);
  const cut = `${'x'.repeat(2_000)}… (cut: it has 3000 bytes)`;
  expect(draft[0]).toMatchObject({ draft: cut, decisions: ['approve', 'edit', 'reject'] });
  expect((await story.user.get(`/inbox/${draft[0].gate_id}`)).body.draft).toBe(long);
  expect(await gatesOf(anna)).toEqual([]);
  await run.complete('T1', {});

  await run.untilWaiting('T2');
  const [item] = (await anna.get('/inbox')).body.gates;
  expect(item).toEqual({
    gate_id: expect.stringMatching(/^gate_\w+_T2_1$/),
    run_id: run.run_id,
    run_kind: 'goal',
    task_id: 'T2',
    kind: 'human_task',
    goal: expect.any(String),
    title: 'Get legal approval',
    question: expect.any(String),
    reason: null,
    context: null,
    fields: null,
    decisions: ['approve', 'edit', 'reject'],
    draft: null,
    material: [{ task_id: 'T1', title: 'Draft the terms', output: cut }],
    skills: ['legal'],
    person: { person_id: anna.person_id, name: 'Anna' },
    assigned_at: expect.any(String),
    assignment_note: null,
    opened_at: expect.any(String),
    due_at: expect.any(String),
    overdue: false,
  });
  const { body: whole } = await anna.get(`/inbox/${item.gate_id}`);
  expect(whole).toEqual({ ...item, material: [{ ...item.material[0], output: long }] });

  // A person of the task sends the one before it back.
  const back = { decision: 'reject', send_back_to: 'T1', output: 'Shorter.' };
  const path = `/runs/${run.run_id}/tasks/T2/complete`;
  const ben = await add({ name: 'Ben', skills: ['tax'] });
  expect((await ben.post(path, back)).status).toBe(404);
  expect(await anna.post(path, back)).toMatchObject({ status: 200, body: { decision: 'reject' } });
  expect(await gatesOf(anna)).toEqual([]);
  await run.cancel();
});

test('a form is there with its fields and what it is about', async () => {
  const anna = await add({ skills: ['legal'] });
  const human_fields = [{ name: 'verdict', type: 'select', options: ['fine', 'forbidden'], required: true }];
  const { body } = await startSteps(
    story.user,
    [
      {
        id: 'ask',
        type: 'human',
        human_prompt: 'Legal, {state.user_input}?',
        human_fields,
        input_keys: ['user_input'],
        skills: ['legal'],
      },
    ],
    { message: 'the terms' },
  );
  const [item] = (await anna.get('/inbox')).body.gates;
  expect(item).toMatchObject({
    run_kind: 'orchestration',
    kind: 'human_step',
    question: 'Legal, the terms?',
    context: 'the terms',
    fields: [{ name: 'verdict', type: 'select', options: ['fine', 'forbidden'], required: true }],
    decisions: ['approve'],
  });
  const path = `/runs/${body.run_id}/tasks/ask/complete`;
  expectFault(await anna.post(path, { output: '{"verdict":"perhaps"}' }), '/output');
  expect((await anna.post(path, { output: '{"verdict":"fine"}' })).status).toBe(200);
  await story.user.openRun(body.run_id).until('completed');
});

test('a page with much material has of each text as much as fits', async () => {
  const { person_id } = await add({});
  const of = story.orchflow.db.selectFrom('people').select('account_id').where('person_id', '=', person_id);
  const { account_id } = await of.executeTakeFirstOrThrow();
  await insertWaitingGates(story.orchflow.db, { account_id, person_id, count: 100 });
  // Of four bytes each: 100 gates with 60 texts of 2,000 characters would be 48 MB.
  await sql`
    insert into texts (text_id, run_id, text) select 'text_' || n, 'run_' || n, repeat('😀', 2000) from generate_series(1, 100) as n`.execute(
    story.orchflow.db,
  );
  await sql`
    insert into tasks (run_id, id, position, title, description, kind, status, depends_on, output_id)
    select 'run_' || n, 'D' || k, k, 'Task', 'Done', 'ai', 'completed',
      case when k > 1 then jsonb_build_array('D' || k - 1) else '[]' end, 'text_' || n
    from generate_series(1, 100) as n, generate_series(1, 60) as k`.execute(story.orchflow.db);
  await sql`update tasks set depends_on = '["D60"]' where id = 'T1'`.execute(story.orchflow.db);

  const { body } = await story.user.get('/inbox?limit=100');
  expect(body.gates).toHaveLength(100);
  const texts = body.gates.flatMap(({ material }: InboxItem) => material.map(({ output }) => output));
  expect(texts).toHaveLength(6_000);
  expect(Buffer.byteLength(JSON.stringify(body))).toBeLessThan(9.5 * 1024 * 1024);
  for (const text of texts) expect(text).toMatch(/^(?:😀){300,}… \(cut: it has 8000 bytes\)$/u);
  const { body: few } = await story.user.get('/inbox?limit=2');
  expect(few.gates[0].material[59].output).toBe('😀'.repeat(2_000));
});

test('what is due first comes first; filters and pages; nothing of what has ended', async () => {
  const anna = await add({ skills: ['legal'] });
  const never = await ask(['legal']);
  const later = await ask(['tax'], { gate_due_in: '2h' });
  const soon = await ask(['legal'], { gate_due_in: '1h' });
  const ended = await ask(['legal'], { gate_due_in: '1m' });
  await story.user.delete(`/runs/${ended.run_id}`);
  const all = [soon, later, never].map(({ gate_id }) => gate_id);
  expect(await gatesOf(story.user)).toEqual(all);
  expect((await story.user.get(`/inbox/${ended.gate_id}`)).status).toBe(404);
  expect(await gatesOf(story.user, '?skill=Legal')).toEqual([soon.gate_id, never.gate_id]);
  expect(await gatesOf(story.user, `?person_id=${anna.person_id}`)).toEqual([soon.gate_id, never.gate_id]);
  expect(await gatesOf(story.user, '?kind=approval')).toEqual([]);
  expect(await gatesOf(story.user, '?overdue=true')).toEqual([]);
  await story.orchflow.db
    .updateTable('gates')
    .set({ due_at: sql<string>`now() - interval '1 minute'` })
    .where('gate_id', '=', later.gate_id)
    .execute();
  expect(await gatesOf(story.user, '?overdue=true')).toEqual([later.gate_id]);
  expect((await story.user.get(`/inbox/${later.gate_id}`)).body.overdue).toBe(true);
  expect(await gatesOf(story.user, '?overdue=false')).toEqual([soon.gate_id, never.gate_id]);

  const paged: string[] = [];
  for (let cursor = ''; ;) {
    const { gates, has_more, next_cursor } = (await story.user.get(`/inbox?limit=1${cursor}`)).body;
    paged.push(...gates.map(({ gate_id }: { gate_id: string }) => gate_id));
    expect(has_more).toBe(next_cursor !== null);
    if (!next_cursor) break;
    cursor = `&cursor=${next_cursor}`;
  }
  expect(paged).toEqual([later, soon, never].map(({ gate_id }) => gate_id));
  for (const query of ['cursor=x', 'kind=x', 'overdue=yes', 'person_id=%00', 'limit=101', 'due=1']) {
    expectFault(await story.user.get(`/inbox?${query}`), `/${query.split('=')[0]}`);
  }
});

test('with ten thousand open gates no page takes a sequential scan', async () => {
  const orchflow = await startOrchflow({ worker: false });
  try {
    const { db } = orchflow;
    const user = await orchflow.register();
    const anna = await addPerson(user, orchflow.url, { skills: ['legal', 'tax'] });
    const { account_id } = await db.selectFrom('people').select('account_id').executeTakeFirstOrThrow();
    await insertWaitingGates(db, { account_id, person_id: anna.person_id, count: 10_000 });

    const seen: string[] = [];
    for (let cursor = ''; ;) {
      const { gates, next_cursor } = (await user.get(`/inbox?limit=100${cursor}`)).body;
      seen.push(...gates.map(({ gate_id }: { gate_id: string }) => gate_id));
      if (!next_cursor) break;
      cursor = `&cursor=${next_cursor}`;
    }
    expect(new Set(seen).size).toBe(10_000);
    expect(seen.slice(0, 2)).toEqual(['gate_2', 'gate_4']);
    expect(await gatesOf(anna, '?limit=3')).toEqual(['gate_2', 'gate_4', 'gate_8']);
    expect((await user.get(`/people/${anna.person_id}`)).body.open_gates).toBe(3_334);

    const after = { due_at: new Date(Date.now() + 3_600_000).toISOString(), opened_at: new Date().toISOString() };
    const pages = [{ limit: 21 }, { limit: 101, after: { ...after, gate_id: 'gate_1' } }];
    const filters: InboxFilter[] = [
      {},
      { skill: 'legal' },
      { skill: 'unknown' },
      { kind: 'approval' },
      { overdue: true },
      { overdue: false },
      { person_id: anna.person_id },
    ];
    await db.transaction().execute(async (trx) => {
      const scanned = async () => {
        const { rows } = await sql<{ read: number }>`
          select sum(seq_tup_read)::int as read from pg_stat_xact_user_tables
          where relname in ('gates', 'tasks', 'runs', 'texts')`.execute(trx);
        return rows[0]!.read;
      };
      // What this connection did before may not be written down yet.
      const before = await scanned();
      for (const person_id of [null, anna.person_id]) {
        for (const filter of filters) {
          for (const page of pages) {
            await listInbox(trx, { account_id, person_id }, filter, page);
            expect(await scanned(), JSON.stringify([person_id, filter, page])).toBe(before);
          }
        }
        expect(await findInboxItem(trx, { account_id, person_id }, 'gate_4')).toContain('Question 4');
      }
      expect(await scanned()).toBe(before);
      await sql`select count(*) from gates where reason is null`.execute(trx);
      expect(await scanned(), 'this test sees such reads').toBeGreaterThan(before + 50_000);
    });
  } finally {
    await orchflow.stop();
  }
});
