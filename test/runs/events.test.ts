import { expect, test } from 'vitest';
import { saveProgress } from '../../db/progress.ts';
import type { RunView } from '../../db/run-views.ts';
import type { TestRun } from '../harness/orchflow.ts';
import { inTurn } from '../harness/script.ts';
import { useStory } from '../harness/story.ts';

/** The events of a run tell its whole story; what readers see of it only goes forward. */

const story = useStory();

async function eventsOf(run: TestRun) {
  return story.orchflow.db
    .selectFrom('run_events')
    .select(['seq', 'type', 'data', 'event_key'])
    .where('run_id', '=', run.run_id)
    .orderBy('seq')
    .execute();
}

/** `task.started T2` for each event, in order. */
function tell(events: { type: string; data: Record<string, unknown> }[]): string[] {
  return events.map(({ type, data }) => [type, data.task_id ?? data.phase].filter(Boolean).join(' '));
}

test('the events of a run are numbered without a gap and tell the whole story in order', async () => {
  const run = await story.start(
    {
      plan: ['Research rivals', 'Compare them', 'Get legal approval'],
      dependencies: { T3: ['T2'], T4: ['T3'] },
      evaluate: inTurn({ passed: false, score: 0.1, feedback: 'Thin.' }),
    },
    { ask_me_about: ['budget'], human_gates: ['approve'] },
  );
  await run.untilWaiting('T1');
  await run.complete('T1', { output: 'Ten.' });
  await run.untilWaiting('T4');
  await run.complete('T4', { output: 'Approved.' });
  await run.until('completed');

  const events = await eventsOf(run);
  expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index + 1));
  expect(tell(events)).toEqual([
    'run.created',
    'run.started split_tasks',
    'run.phase infer_deps',
    'run.planned',
    'run.phase execute',
    'gate.opened T1',
    'gate.answered T1',
    'task.completed T1',
    'task.started T2',
    'task.evaluated T2',
    'task.retrying T2',
    'task.started T2',
    'task.evaluated T2',
    'task.completed T2',
    'task.started T3',
    'task.evaluated T3',
    'task.completed T3',
    'gate.opened T4',
    'gate.answered T4',
    'task.completed T4',
    'run.phase finalize',
    'run.completed',
  ]);
  const dataOf = (type: string) => events.filter((event) => event.type === type).map((event) => event.data);
  expect(dataOf('run.planned')[0]).toMatchObject({
    tasks: [{ id: 'T1', kind: 'human', depends_on: [] }, { id: 'T2', depends_on: ['T1'] }, {}, {}],
  });
  expect(dataOf('gate.opened')).toMatchObject([{ kind: 'context' }, { kind: 'human_task' }]);
  expect(dataOf('task.started').map((data) => data.attempt)).toEqual([1, 2, 1]);
  expect(dataOf('task.retrying')).toMatchObject([{ reason: 'The evaluation says: Thin.' }]);
  expect(JSON.stringify(events)).not.toContain('Approved.');
});

test('events of tasks side by side keep their order: what a task needs is completed before it starts', async () => {
  const ids = ['T1', 'T2', 'T3', 'T4', 'T5', 'T6'];
  const dependencies = { T2: ['T1'], T3: ['T1'], T4: ['T1'], T5: ['T2', 'T3'], T6: ['T4', 'T5'] };
  const start = () => story.start({ plan: ids.map((id) => `Step ${id}`), dependencies });
  const runs = await Promise.all(Array.from({ length: 10 }, start));
  for (const run of runs) {
    await run.until('completed');
    const events = await eventsOf(run);
    expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index + 1));
    const told = tell(events);
    for (const [id, before] of Object.entries({ T1: [], ...dependencies })) {
      const started = told.indexOf(`task.started ${id}`);
      expect(started, told.join(', ')).toBeGreaterThan(told.indexOf('run.phase execute'));
      expect(told.indexOf(`task.completed ${id}`), told.join(', ')).toBeGreaterThan(started);
      for (const needed of before)
        expect(told.indexOf(`task.completed ${needed}`), told.join(', ')).toBeLessThan(started);
    }
    expect(told.at(-1)).toBe('run.completed');
  }
});

test('a run that fails or is cancelled says so in its last event, once', async () => {
  const failing = await story.start({}, { max_tokens: 1, on_budget: 'fail' });
  await failing.until('failed');
  const cancelled = await story.start({}, { ask_me_about: ['budget'] });
  await cancelled.untilWaiting('T1');
  await cancelled.cancel();
  await story.orchflow.client.workflow
    .getHandle(cancelled.run_id)
    .result()
    .catch(() => {});

  const stories = [tell(await eventsOf(failing)), tell(await eventsOf(cancelled))];
  expect(stories.map((told) => told.at(-1))).toEqual(['run.failed', 'run.cancelled']);
  for (const told of stories) expect(new Set(told).size).toBe(told.length);
});

const taskOrder = ['pending', 'running', 'completed'];
const runOrder = ['pending', 'running', 'completed'];

test('what readers see of a run never goes back', async () => {
  const run = await story.start({ dependencies: { T2: ['T1'], T3: ['T1'] } });
  const seen: RunView[] = [];
  await run.until((view) => {
    seen.push(view);
    return view.status === 'completed';
  });
  expect(seen.length).toBeGreaterThan(2);
  for (const [index, now] of seen.entries()) {
    const before = seen[index - 1];
    if (!before) continue;
    expect(runOrder.indexOf(now.status)).toBeGreaterThanOrEqual(runOrder.indexOf(before.status));
    expect(now.usage.llm_calls).toBeGreaterThanOrEqual(before.usage.llm_calls);
    for (const task of before.tasks) {
      const later = now.tasks.find(({ id }) => id === task.id)!;
      expect(taskOrder.indexOf(later.status)).toBeGreaterThanOrEqual(taskOrder.indexOf(task.status));
      if (task.output) expect(later.output).toBe(task.output);
    }
  }
});

test('a workflow task that is made again, after it had written twice, takes nothing back', async () => {
  const run = await story.start({}, { ask_me_about: ['budget'], human_gates: ['sign-off'] });
  await run.untilWaiting('T1');
  await run.complete('T1', { output: 'Ten.' });
  const before = await run.until(({ tasks }) => tasks.at(-1)!.status === 'waiting_human');
  const { db } = story.orchflow;
  const { version } = await db
    .selectFrom('runs')
    .select('version')
    .where('run_id', '=', run.run_id)
    .executeTakeFirstOrThrow();
  const rows = await db.selectFrom('tasks').selectAll().where('run_id', '=', run.run_id).execute();
  const asAtFirst = rows.map((row) => ({
    ...row,
    status: row.id === 'T1' ? ('waiting_human' as const) : ('pending' as const),
    output_id: null,
    step: undefined,
  }));
  const { status, phase, warnings, error } = before;
  const again = { status, phase, warnings, error, final_output_id: null };
  await saveProgress(db, run.run_id, {
    version: version + 1,
    at: Date.now(),
    run: again,
    tasks: asAtFirst,
    gates: [],
    events: [],
  });
  expect((await run.get()).tasks).toEqual(before.tasks);

  // A run that an operator has reset may ask a person of a task that had ended: then it waits, and says so.
  const asked = rows.find(({ status }) => status === 'completed')!;
  const gate_id = `${run.run_id}/${asked.id}/again`;
  await saveProgress(db, run.run_id, {
    version: version + 2,
    at: Date.now(),
    run: again,
    tasks: [{ ...asked, status: 'waiting_human', step: undefined }],
    gates: [
      {
        gate_id,
        task_id: asked.id,
        kind: 'approval',
        status: 'open',
        reason: 'Right?',
        decisions: ['approve'],
        due_at: null,
        opened_at: new Date().toISOString(),
        reminders: 0,
        overdue_at: null,
      },
    ],
    events: [],
  });
  const reset = await run.get();
  expect(reset.waiting_tasks).toContain(asked.id);
  expect(reset.tasks.find(({ id }) => id === asked.id)).toMatchObject({ status: 'waiting_human', gate: { gate_id } });
  await run.complete(before.tasks.at(-1)!.id, { output: 'Signed.' });
  await run.until('completed');
});
