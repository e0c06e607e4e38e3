import { expect, test } from 'vitest';
import type { RunView } from '../../db/run-views.ts';
import { until } from '../harness/orchflow.ts';
import { replayHistories } from '../harness/replay.ts';
import { approve, callsSince, named, resume, useRestore } from '../harness/restore-story.ts';

/**
 * PostgreSQL, or Temporal, is restored from a backup while the other has gone on: `npm run reconcile`. Both directions with the
 * same runs: at gates, in calls, cancelled and finished meanwhile.
 */

const story = useRestore();

/** What is to be done, by the names of the runs. */
function toDo({ lines }: { lines: string[] }): Record<string, string[]> {
  const mends: Record<string, string[]> = {};
  for (const [name, run_id] of story.ids) {
    const own = lines.filter((line) => line.startsWith(`${run_id} `));
    if (own.length) mends[name] = own.map((line) => /To do: (.*?)\./.exec(line)![1]!);
  }
  return mends;
}

const differing = (lines: string[]) => lines.at(-1)!;
const toldOf = (name: string, event: string) =>
  story.webhook.requests.filter(({ payload }) => payload.run_id === story.ids.get(name) && payload.event === event)
    .length;
const handleOf = (name: string) => story.restorable.orchflow.client.workflow.getHandle(story.ids.get(name)!);
const release = (name: string) => story.user.post(`/runs/${story.ids.get(name)}/release`, {});
const statusOf = async (name: string) => (await handleOf(name).describe()).status.name;

/** The executions that have written the run, by their ids. */
async function writersOf(name: string): Promise<string[]> {
  const runs = story.restorable.orchflow.db.selectFrom('runs').select('writers');
  return (await runs.where('run_id', '=', story.ids.get(name)!).executeTakeFirstOrThrow()).writers;
}

/** At the same gates as before, on both sides. */
async function untilWaitingAsAtLast(): Promise<void> {
  for (const [name, gate_id] of story.openAtLast) {
    const isAsked = ({ tasks }: RunView) =>
      tasks.some(({ gate }) => gate?.gate_id === gate_id && gate.status === 'open');
    await named(story, name).until(isAsked);
    const waiting = async () =>
      (await handleOf(name).query<{ gate_id: string }[]>('waitingTasks')).map((gate) => gate.gate_id);
    await until(async () => (await waiting()).includes(gate_id), `${name} waits in Temporal where it did`);
  }
}

async function answerAtLast(): Promise<void> {
  await approve(named(story, 'approved'), 'T1', 'T2', 'T3');
  await approve(named(story, 'steered'), 'T1', 'T2', 'T3');
  await approve(named(story, 'begun'), 'T2', 'T3', 'T4');
  for (const name of ['steps', 'begun-steps', 'retried']) await resume(story, name, 'No.');
}

async function expectAllReplay(): Promise<void> {
  await replayHistories(story.restorable.orchflow);
  await story.restorable.stop();
}

const followed = 'let PostgreSQL follow it from there';
const toldAgain = 'tell it again';
const anew = 'begin it anew in Temporal, from what PostgreSQL has';
const brought = 'bring PostgreSQL to that';
const failed = 'fail it in PostgreSQL';
const ended = 'end it in Temporal';

test('both are of the same time: nothing differs, and the end of a second try is told as that of the first was', async () => {
  const { restorable, ids } = story;
  await restorable.restore(story.late, story.late);
  expect(await restorable.reconcile()).toMatchObject({ code: 0, lines: ['11 runs compared, 0 differ.'], stderr: '' });
  expect(toldOf('retried', 'failed')).toBe(1);
  await restorable.terminate(ids.get('retried')!);
  const mended = await restorable.reconcile('--mend');
  expect([mended.code, toDo(mended)]).toEqual([0, { retried: [failed] }]);
  story.user = await restorable.start();
  await until(() => toldOf('retried', 'failed') === 2, 'its webhook hears of it');
  await restorable.stop();
});

test('Temporal is the older one: it is told again what it has lost, and nothing is paid or asked twice', async () => {
  const { restorable, model, ids } = story;
  await restorable.restore(story.late, story.early);
  story.held.clear();
  const calls = model.calls.length;

  const found = await restorable.reconcile();
  expect(found).toMatchObject({ code: 1, stderr: '' });
  expect(toDo(found)).toEqual({
    answered: [followed, toldAgain],
    approved: [followed, toldAgain],
    steered: [followed, toldAgain],
    steps: [followed, toldAgain],
    retried: [anew],
    calling: [followed],
    reminded: [followed],
    cancelled: ['cancel it in Temporal'],
    finished: [ended],
    purged: [ended],
    begun: [anew],
    'begun-steps': [anew],
    'begun-calling': [anew],
  });
  expect(differing(found.lines)).toBe('14 runs compared, 13 differ. Say it again with --mend, and it is done.');
  const one = await restorable.reconcile('--run', ids.get('begun')!);
  expect([one.code, Object.keys(toDo(one)), one.lines.length]).toEqual([1, ['begun'], 2]);
  expect(await restorable.reconcile('--account', 'nobody@example.com')).toMatchObject({ code: 2 });
  expect(await restorable.reconcile('--run', 'run_nope')).toMatchObject({ code: 2 });
  const stderr = expect.stringContaining('npm run reconcile');
  expect(await restorable.reconcile('--mnd')).toMatchObject({ code: 2, stderr });
  await restorable.killReconcile();
  expect(await restorable.reconcile('--mend')).toMatchObject({ code: 0, stderr: '' });
  expect(await restorable.reconcile()).toMatchObject({ code: 0, lines: ['12 runs compared, 0 differ.'] });

  story.user = await restorable.start();
  const isFollowed = async () => (await writersOf('begun')).at(-1) === (await handleOf('begun').describe()).runId;
  await until(isFollowed, 'the run that is held has begun anew');
  expect(await named(story, 'begun').get()).toMatchObject({
    status: 'waiting_human',
    waiting_tasks: expect.arrayContaining(['T2']),
  });
  await release('begun');
  // Before it may continue as new: what it writes stands all the same.
  await named(story, 'reminded').complete('T1', { output: 'Ten euros.' });
  await named(story, 'reminded').until('completed');
  await untilWaitingAsAtLast();
  for (const name of ['finished', 'purged']) expect(await statusOf(name)).toBe('TERMINATED');
  await until(async () => (await statusOf('cancelled')) === 'CANCELLED', 'it is cancelled in Temporal');
  // With workers at work, nothing differs that is on its way.
  expect(await restorable.reconcile()).toMatchObject({ code: 0 });

  await answerAtLast();
  await named(story, 'untouched').complete('T1', { output: 'Ten euros.' });
  const isOver = (name: string) => name === 'cancelled' || name === 'purged';
  for (const name of ids.keys()) if (!isOver(name)) await named(story, name).until('completed');

  expect((await named(story, 'approved').task('T1')).attempts).toBe(4);
  expect((await named(story, 'begun').task('T2')).attempts).toBe(3);
  const { body } = await story.user.get(`/orchestrations/runs/${ids.get('begun-steps')}`);
  expect(body.shared_state).toMatchObject({ count: 1, first: { a: 'Yes.' }, second: { a: 'No.' } });
  // Those that were in flight, and what had yet to be done.
  const rest = ['execute', 'evaluate'].flatMap((purpose) => ['T2', 'T3', 'T4'].map((id) => `${purpose} ${id}`));
  const inFlight = [
    'answered execute T2',
    'answered evaluate T2',
    'begun-calling execute T1',
    'begun-calling evaluate T1',
  ];
  const unfinished = ['answered', 'approved', 'begun', 'begun-calling', 'calling', 'steered'];
  const wait = ['untouched', 'reminded'].flatMap((name) => [...rest, 'finalize'].map((call) => `${name} ${call}`));
  const due = [...inFlight, ...unfinished.map((name) => `${name} finalize`), ...wait];
  expect(callsSince(story, calls)).toEqual(due.toSorted());
  expect([toldOf('finished', 'completed'), toldOf('cancelled', 'cancelled')]).toEqual([1, 1]);
  await expectAllReplay();
});

test('Temporal is the older one, and workers were not stopped: runs end all the same', async () => {
  const { restorable } = story;
  await restorable.restore(story.late, story.early);
  story.held.clear();
  story.user = await restorable.start();
  expect(await restorable.reconcile('--mend')).toMatchObject({ code: 0, stderr: '' });
  await release('begun');
  await untilWaitingAsAtLast();
  await answerAtLast();
  for (const name of ['answered', 'calling', 'begun-calling']) await named(story, name).until('completed');
  expect(await restorable.reconcile()).toMatchObject({ code: 0 });
  await expectAllReplay();

  // Nothing of ours is there to see that a run which waits still is ended in Temporal.
  await restorable.terminate(story.ids.get('untouched')!);
  const mended = await restorable.reconcile('--mend');
  expect(mended).toMatchObject({ code: 0, stderr: '' });
  expect(toDo(mended)).toEqual({ untouched: [failed] });
  story.user = await restorable.start();
  const error = expect.stringContaining('terminated');
  expect(await named(story, 'untouched').get()).toMatchObject({ status: 'failed', error });
  await restorable.stop();
});

test('PostgreSQL is the older one: runs go on from what it has, end as they have ended, or say why not', async () => {
  const { restorable, model, ids } = story;
  await restorable.restore(story.early, story.late);
  story.held.clear();
  const again = `${anew}: what came after is done again`;

  const found = await restorable.reconcile();
  expect(found).toMatchObject({ code: 1, stderr: '' });
  expect(toDo(found)).toEqual({
    answered: [again],
    approved: [again],
    steered: [again],
    steps: [again],
    retried: [ended],
    calling: [again],
    reminded: [brought],
    cancelled: [brought],
    finished: [failed],
    purged: [failed],
    begun: [ended],
    'begun-steps': [ended],
    'begun-calling': [ended],
  });
  expect(await restorable.reconcile('--mend')).toMatchObject({ code: 0, stderr: '' });
  expect(await restorable.reconcile()).toMatchObject({ code: 0, lines: ['7 runs compared, 0 differ.'] });

  story.user = await restorable.start();
  for (const name of ['begun', 'begun-steps', 'begun-calling']) {
    expect((await story.user.get(`/runs/${ids.get(name)}`)).status).toBe(404);
    expect(await statusOf(name)).toBe('TERMINATED');
  }
  const cancelled = await named(story, 'cancelled').get();
  expect(cancelled).toMatchObject({ status: 'cancelled', waiting_tasks: [] });
  for (const name of ['finished', 'purged']) {
    const error = expect.stringContaining('restored');
    expect(await named(story, name).get()).toMatchObject({ status: 'failed', error });
  }
  await until(() => toldOf('finished', 'failed') === 1, 'the webhook hears of it');

  const answered = await named(story, 'answered').untilWaiting('T1');
  expect(answered.warnings).toEqual([expect.stringContaining('restored')]);
  for (const name of ['answered', 'untouched', 'reminded']) {
    await named(story, name).complete('T1', { output: 'Twenty euros.' });
    await named(story, name).until('completed');
  }
  const asked = model.calls.filter(({ run_marker, task_id }) => run_marker === 'answered' && task_id === 'T2');
  expect(asked.findLast(({ purpose }) => purpose === 'execute')!.prompt).toContain('Twenty euros.');
  await approve(named(story, 'approved'), 'T1', 'T2', 'T3');
  expect((await named(story, 'approved').task('T1')).attempts).toBe(1);
  await approve(named(story, 'steered'), 'T2', 'T3');
  await named(story, 'calling').until('completed');
  await story.user.post(`/orchestrations/runs/${ids.get('retried')}/retry`, {});
  await named(story, 'steps').untilWaiting('ask');
  await resume(story, 'steps', 'Yes.');
  for (const name of ['steps', 'retried']) {
    await named(story, name).untilWaiting('again');
    await resume(story, name, 'No.');
    await named(story, name).until('completed');
  }
  expect(await restorable.reconcile()).toMatchObject({ code: 0, lines: ['0 runs compared, 0 differ.'] });
  await expectAllReplay();
});
