import { afterAll, beforeAll, expect } from 'vitest';
import type { RunView } from '../../db/run-views.ts';
import { startFakeModel, type FakeModel, type ModelCall } from '../fakes/model.ts';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import { createUser, startOrchflow, until, type TestRun, type User } from './orchflow.ts';
import { startSteps } from './orchestration.ts';
import { startRestorable, type Backup } from './restore.ts';
import { scriptRun } from './script.ts';

/**
 * Runs of which there are two backups, of both sides each: `early`, and `late`, when they have gone on. `answered`, `finished`,
 * `purged` and `cancelled` waited for a person at first, and so did `untouched`, which does so still; `reminded` has continued as
 * new meanwhile. `calling` and `answered` are in a call at last, `approved` was sent back, `steered` has a task done again.
 * `begun` is held at last.
 * `steps` and `retried` are orchestrations. Those that are `begun…` came after the first backup.
 */
export type RestoreStory = {
  restorable: Awaited<ReturnType<typeof startRestorable>>;
  model: FakeModel;
  webhook: FakeWebhook;
  user: User;
  early: Backup;
  late: Backup;
  /** By the names of the runs. */
  ids: Map<string, string>;
  /** Gates that were open at last, by the names of their runs. */
  openAtLast: Map<string, string>;
  /** Calls that are not answered, such as `calling execute T1`, and those that are refused. */
  held: Set<string>;
  refused: Set<string>;
  provider_id: string;
};

const budget = { output: 'Ten euros.' };
const waits = { ask_me_about: ['the budget'] };

const stepOf = ({ run_marker, purpose, task_id }: ModelCall) =>
  [run_marker, purpose, task_id].filter(Boolean).join(' ');
export const isOpen =
  (id: string) =>
  ({ tasks }: RunView) =>
    tasks.find((task) => task.id === id)?.gate?.status === 'open';
const completedTasks = ({ tasks }: RunView) => tasks.filter(({ status }) => status === 'completed').length;

/** The story, told once for a test file. */
export function useRestore() {
  const sets = { ids: new Map(), openAtLast: new Map(), held: new Set<string>(), refused: new Set<string>() };
  const story = { ...sets } as RestoreStory;

  beforeAll(async () => {
    [story.restorable, story.model, story.webhook] = await Promise.all([
      startRestorable(),
      startFakeModel(),
      startFakeWebhook(),
    ]);
    const { restorable, model, held, refused } = story;
    scriptRun(model, { execute: ({ task_id }) => `${task_id}, call ${model.calls.length}.` });
    model.on((call) => (held.has(stepOf(call)) ? { hang: 'before_headers' } : undefined));
    model.on((call) => (refused.has(stepOf(call)) ? { status: 401 } : undefined));
    story.user = await restorable.start();
    story.provider_id = await story.user.addProvider(model);
    await goToBackup(story);
    await restorable.stop();
    story.early = await restorable.backUp('early');
    story.user = await restorable.start();
    await goOn(story);
    await restorable.stop();
    story.late = await restorable.backUp('late');
  });
  afterAll(async () => {
    await story.restorable.end();
    await Promise.all([story.model.close(), story.webhook.close()]);
    story.model.assertNothingUnscripted();
  });
  return story;
}

/** What the model was asked since its first so many calls. */
export function callsSince({ model }: RestoreStory, calls: number): string[] {
  return model.calls.slice(calls).map(stepOf).toSorted();
}

export function named({ user, ids }: RestoreStory, name: string): TestRun {
  return user.openRun(ids.get(name)!);
}

async function start(story: RestoreStory, name: string, more: object = {}): Promise<TestRun> {
  const { user, ids, provider_id } = story;
  const run = await user.startRun({ task: `Bring it to market. [run:${name}]`, provider_id, ...more });
  ids.set(name, run.run_id);
  return run;
}

/** One that continues as new while it waits. */
async function startLong(story: RestoreStory, name: string, more: object): Promise<TestRun> {
  const environment = { ...story.restorable.env, RUN_HISTORY_LIMIT: '100' };
  const short = await startOrchflow({ environment, worker: false });
  const { api_key, webhook_secret, email } = story.user;
  await start({ ...story, user: createUser(short.url, api_key, webhook_secret, email) }, name, more);
  await short.stop();
  return named(story, name);
}

/** Counts in JavaScript what a step that is done again would count twice. */
async function startOrchestration(story: RestoreStory, name: string): Promise<TestRun> {
  const { user, ids, provider_id, webhook } = story;
  const human_fields = [{ name: 'a', type: 'text' }];
  const steps = [
    { id: 'count', type: 'transform', transform_code: '(state.count ?? 0) + 1', output_key: 'count' },
    { id: 'ask', type: 'human', human_fields, output_key: 'first' },
    { id: 'write', type: 'llm', prompt_template: `Write it. [run:${name}]`, output_key: 'text' },
    { id: 'again', type: 'human', human_fields, output_key: 'second' },
  ];
  const { body } = await startSteps(user, steps, { provider_id, webhook_url: webhook.url });
  ids.set(name, body.run_id);
  return named(story, name);
}

export async function resume({ user, ids }: RestoreStory, name: string, a: string): Promise<void> {
  const answered = await user.post(`/orchestrations/runs/${ids.get(name)}/resume`, { response: { a } });
  expect(answered.status, JSON.stringify(answered.body)).toBe(200);
}

export async function approve(run: TestRun, ...tasks: string[]): Promise<RunView> {
  for (const id of tasks) {
    await run.untilWaiting(id);
    expect(await run.complete(id, {})).toMatchObject({ status: 200 });
  }
  return run.until('completed');
}

async function sendBack(run: TestRun, id: string, output: string): Promise<void> {
  const { attempts } = (await run.until(isOpen(id))).tasks.find((task) => task.id === id)!;
  await run.complete(id, { decision: 'reject', output });
  await run.until((view) => isOpen(id)(view) && view.tasks.find((task) => task.id === id)!.attempts === attempts + 1);
}

async function goToBackup(story: RestoreStory): Promise<void> {
  const { held, refused, model, webhook } = story;
  held.add('calling execute T1');
  refused.add('retried execute write');
  const [calling, approved, steered] = await Promise.all([
    start(story, 'calling'),
    start(story, 'approved', { require_approval: true }),
    start(story, 'steered', { require_approval: true }),
    startLong(story, 'reminded', { ...waits, remind_every: '1s' }),
    start(story, 'untouched', waits),
    start(story, 'answered', waits),
    start(story, 'purged', waits),
    start(story, 'finished', { ...waits, webhook_url: webhook.url }),
    start(story, 'cancelled', { ...waits, webhook_url: webhook.url }),
  ]);
  for (const name of ['steps', 'retried']) await (await startOrchestration(story, name)).untilWaiting('ask');
  await resume(story, 'retried', 'Yes.');
  await named(story, 'retried').until('failed');
  const waiting = ['untouched', 'answered', 'purged', 'finished', 'cancelled', 'reminded'];
  for (const name of waiting) await named(story, name).untilWaiting('T1');
  await calling.until((run) => completedTasks(run) === 2);
  await model.waitForCall((call) => stepOf(call) === 'calling execute T1');
  for (const run of [approved, steered]) for (const id of ['T1', 'T2', 'T3']) await run.untilWaiting(id);
  await steered.complete('T1', {});
  await steered.until(({ tasks }) => tasks[0]!.status === 'completed');
}

async function goOn(story: RestoreStory): Promise<void> {
  const { held, refused, model, restorable, user, ids, openAtLast } = story;
  const { client, db } = restorable.orchflow;
  held.clear();
  refused.clear();
  for (const call of ['answered execute T2', 'calling finalize', 'begun-calling execute T1']) held.add(call);
  await Promise.all(['answered', 'finished', 'purged'].map((name) => named(story, name).complete('T1', budget)));
  await named(story, 'purged').until('completed');
  expect((await user.delete(`/runs/${ids.get('purged')}?purge=true`)).status).toBeLessThan(300);

  const approved = named(story, 'approved');
  // So its history is longer than it will be by the time of its end: what it writes then is older by its own count.
  const release = () => client.workflow.getHandle(approved.run_id).signal('release');
  await Promise.all(Array.from({ length: 100 }, release));
  for (let round = 1; round <= 3; round += 1) await sendBack(approved, 'T1', `Remark ${round}.`);
  await user.post(`/runs/${ids.get('steered')}/tasks/T1/retry`, { feedback: 'Shorter.' });
  await named(story, 'steered').untilWaiting('T1');
  await named(story, 'cancelled').cancel();
  await resume(story, 'steps', 'Yes.');
  await user.post(`/orchestrations/runs/${ids.get('retried')}/retry`, {});

  const begun = await start(story, 'begun', { ...waits, require_approval: true });
  await begun.untilWaiting('T1');
  await begun.complete('T1', budget);
  await sendBack(begun, 'T2', 'With numbers.');
  await user.post(`/runs/${begun.run_id}/tasks/T2/retry`, { feedback: 'Without them.' });
  await begun.until((view) => isOpen('T2')(view) && view.tasks[1]!.attempts === 3);
  await (await startOrchestration(story, 'begun-steps')).untilWaiting('ask');
  await resume(story, 'begun-steps', 'Yes.');
  await start(story, 'begun-calling');

  await named(story, 'finished').until('completed');
  for (const step of held) await model.waitForCall((call) => stepOf(call) === step);
  await named(story, 'answered').until((run) => completedTasks(run) === 3);
  await named(story, 'begun-calling').until((run) => completedTasks(run) === 2);
  for (const name of ['steps', 'begun-steps', 'retried']) await named(story, name).untilWaiting('again');
  for (const [name, id] of [
    ['approved', 'T1'],
    ['steered', 'T1'],
    ['begun', 'T2'],
    ['steps', 'again'],
    ['begun-steps', 'again'],
    ['retried', 'again'],
  ] as const) {
    openAtLast.set(name, (await named(story, name).task(id)).gate!.gate_id);
  }
  const run = (name: string) => db.selectFrom('runs').select('writers').where('run_id', '=', ids.get(name)!);
  const hasContinued = async () => (await run('reminded').executeTakeFirstOrThrow()).writers.length > 1;
  await until(hasContinued, 'it continues as new');
  expect((await user.post(`/runs/${ids.get('begun')}/hold`, {})).status).toBe(200);
  await until(async () => !(await run('purged').executeTakeFirst()), 'nothing is left of the purged run');
}
