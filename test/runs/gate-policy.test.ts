import { afterEach, beforeEach, expect, test } from 'vitest';
import type { GateState } from '../../workflows/contract/states.ts';
import { newestBy, nextMoment, remindersPause_ms } from '../../workflows/gate-policy.ts';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import { until, type TestRun } from '../harness/orchflow.ts';
import { useStory } from '../harness/story.ts';

/** Gates that nobody answers: reminders, and what happens when they are due. */

const story = useStory();
let endpoint: FakeWebhook;
let escalation: FakeWebhook;

beforeEach(async () => {
  [endpoint, escalation] = await Promise.all([startFakeWebhook(), startFakeWebhook()]);
});
afterEach(() => Promise.all([endpoint.close(), escalation.close()]));

const eventsOf = (hook: FakeWebhook) =>
  hook.requests.map(({ payload }) => `${payload.event} ${payload.waiting_tasks.join()}`.trim());

async function storedEvents({ run_id }: TestRun, type: string) {
  const { db } = story.orchflow;
  const events = db.selectFrom('run_events').select('data').where('run_id', '=', run_id).where('type', '=', type);
  return (await events.orderBy('seq').execute()).map(({ data }) => data);
}

/** What is told of a gate, in its order. */
async function eventsAt({ run_id }: TestRun, gate_id: string): Promise<string[]> {
  const { events } = (await story.user.get(`/runs/${run_id}/audit`)).body;
  return events.filter(({ data }: any) => data.gate_id === gate_id).map(({ type }: any) => type);
}

/** A run that asks for the budget at its start, in T1. */
function startAsking(terms: object, more: object = {}) {
  return story.start({}, { ask_me_about: ['budget'], webhook_url: endpoint.url, ...terms, ...more });
}

test('wait: people are reminded until they answer, and told once that they are late', async () => {
  const run = await startAsking({ gate_due_in: '2s', remind_every: '1s' });
  const waiting = await run.untilWaiting('T1');
  expect(waiting).toMatchObject({ gate_due_in: '2s', remind_every: '1s', on_timeout: 'wait' });
  const { gate } = waiting.tasks[0]!;
  expect(Date.parse(gate!.due_at!) - Date.parse(gate!.opened_at)).toBe(2000);

  const isReminder = (event: string) => event === 'gate.reminder T1';
  await until(() => eventsOf(endpoint).filter(isReminder).length >= 3, 'three reminders');
  await endpoint.untilReceived('gate.overdue');
  expect(
    eventsOf(endpoint)
      .filter((event) => !isReminder(event))
      .toSorted(),
  ).toEqual(['gate.overdue T1', 'waiting_human T1']);
  expect((await endpoint.untilReceived('gate.reminder')).payload).toEqual({
    run_id: run.run_id,
    event: 'gate.reminder',
    waiting_tasks: ['T1'],
  });
  expect(await run.get()).toMatchObject({ status: 'waiting_human', waiting_tasks: ['T1'] });
  await run.complete('T1', { output: 'Ten euros.' });
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ output: 'Ten euros.', gate: { status: 'answered' } });
  expect(done.warnings).toEqual([]);
  expect(await storedEvents(run, 'gate.overdue')).toEqual([
    { task_id: 'T1', gate_id: gate!.gate_id, on_timeout: 'wait' },
  ]);
  const reminders = (await storedEvents(run, 'gate.reminder')).map(({ reminder }) => reminder);
  expect(reminders.length).toBeGreaterThanOrEqual(3);
  await until(() => eventsOf(endpoint).filter(isReminder).length >= reminders.length, 'each reminder is told');
  await endpoint.untilReceived('completed');
  expect(eventsOf(endpoint).toSorted()).toEqual([
    'completed',
    'gate.overdue T1',
    ...reminders.map(() => 'gate.reminder T1'),
    'waiting_human T1',
  ]);
});

test('a gate that has reminded a thousand times reminds no more, and is due all the same', () => {
  const opened_at = '2026-01-01T00:00:00Z';
  const [minute, hour] = [60_000, 3_600_000];
  const policy = { due_in: null, remind_every: minute, on_timeout: 'wait', human_gate: null } as const;
  const gate = { opened_at, due_at: null, overdue_at: null, reminders: 5_000 } as GateState;
  const at = Date.parse(opened_at) + 5_001 * minute;
  expect(nextMoment({ ...gate, reminded: 999 }, policy)).toEqual({ at, reminder: 5_001 });
  expect(nextMoment({ ...gate, reminded: 1_000 }, policy)).toBeUndefined();
  const due = at + hour;
  const late = { ...gate, reminded: 1_000, due_at: new Date(due).toISOString() };
  expect(nextMoment(late, policy)).toEqual({ at: due, reminder: null });
});

test('a reminder that was left out leaves out those of the next hour, and no more', () => {
  const policy = { due_in: null, remind_every: 24 * 3_600_000, on_timeout: 'wait', human_gate: null } as const;
  const gate = { opened_at: '2026-01-01T00:00:00Z', due_at: null, overdue_at: null, reminders: 1 } as GateState;
  const left_out_at = Date.parse('2026-01-02T00:00:00Z');
  expect(newestBy(gate, policy, left_out_at + remindersPause_ms)).toBe(1);
  expect(newestBy(gate, { ...policy, remind_every: 60_000 }, left_out_at + remindersPause_ms)).toBe(25 * 60);
});

test('a run whose gates may wait for ever sets no timer', async () => {
  const run = await startAsking({});
  const { tasks } = await run.untilWaiting('T1');
  expect(tasks[0]!.gate!.due_at).toBeNull();
  await run.complete('T1', { output: 'Ten euros.' });
  await run.until('completed');
  expect(await timersOf(run)).toEqual([]);
});

/** What operators read at the timers of a run. */
async function timersOf({ run_id }: TestRun): Promise<string[]> {
  const { events } = await story.orchflow.client.workflow.getHandle(run_id).fetchHistory();
  return events!
    .filter((event) => event.timerStartedEventAttributes)
    .map((event) => JSON.parse(Buffer.from(event.userMetadata!.summary!.data!).toString()) as string);
}

test('escalate: the escalation webhook is told as well, signed, and the gate stays open', async () => {
  const run = await startAsking({
    gate_due_in: '1s',
    on_timeout: 'escalate',
    escalation_webhook_url: escalation.url,
  });
  const told = await escalation.untilReceived('gate.overdue');
  expect(told.payload).toEqual({ run_id: run.run_id, event: 'gate.overdue', waiting_tasks: ['T1'] });
  expect(told.headers['webhook-signature']).toMatch(/^v1,/);
  await endpoint.untilReceived('gate.overdue');
  await run.complete('T1', { output: 'Ten euros.' });
  await run.until('completed');
  await endpoint.untilReceived('completed');
  expect(eventsOf(escalation)).toEqual(['gate.overdue T1']);
  expect(await timersOf(run)).toEqual(['T1 Give the missing context: due']);
});

test('an escalation needs no webhook of the run itself', async () => {
  const terms = { gate_due_in: '1s', on_timeout: 'escalate', escalation_webhook_url: escalation.url };
  const run = await startAsking(terms, { webhook_url: null });
  await escalation.untilReceived('gate.overdue');
  await run.cancel();
  expect(endpoint.requests).toEqual([]);
});

test('reject: the run fails and says why, and no model is asked any more', async () => {
  const run = await story.start(
    { execute: ({ task_id }) => (task_id === 'T1' ? { hang: 'before_headers' } : undefined) },
    { require_approval: true, gate_due_in: '1s', on_timeout: 'reject', webhook_url: endpoint.url },
  );
  const failed = await run.until('failed');
  expect(failed.error).toMatch(/^T[23] ".*" was due at 2\d{3}-\S+, and nobody answered; `on_timeout` is "reject"\.$/);
  expect(failed.tasks.map(({ status }) => status)).toEqual(['skipped', 'skipped', 'skipped']);
  expect(failed.tasks.map(({ gate }) => gate?.status)).toContain('expired');
  expect(failed.waiting_tasks).toEqual([]);
  await endpoint.untilReceived('failed');
  expect(eventsOf(endpoint)).toContain('failed');
  await story.model.untilHungUp();
  const late = failed.tasks.find(({ gate }) => gate?.status === 'expired')!;
  expect(await eventsAt(run, late.gate!.gate_id)).toEqual(['gate.opened', 'gate.overdue', 'gate.expired']);
  expect(await run.complete(late.id, {})).toMatchObject({
    status: 409,
    body: { detail: expect.stringContaining('Nobody answered by') },
  });
});

test('approve: tasks complete with their drafts, human tasks without an output, each with a warning', async () => {
  const run = await story.start(
    { dependencies: { T2: ['T1'], T3: ['T2'] } },
    { require_approval: true, human_gates: ['report'], gate_due_in: '1s', on_timeout: 'approve' },
  );
  const done = await run.until('completed');
  expect(done.tasks.map(({ output, gate }) => [output, gate!.status, gate!.decision])).toEqual([
    ['Output of T1.', 'expired', null],
    ['Output of T2.', 'expired', null],
    [null, 'expired', null],
  ]);
  expect(done.warnings).toEqual([
    expect.stringContaining('Nobody answered T1 in time; its draft was taken'),
    expect.stringContaining('Nobody answered T2 in time; its draft was taken'),
    expect.stringContaining('Nobody answered T3 in time; it was completed without an output'),
  ]);
  expect(await storedEvents(run, 'gate.expired')).toHaveLength(3);
  const [{ gate_id }] = (await storedEvents(run, 'gate.expired')) as [{ gate_id: string }];
  expect(await eventsAt(run, gate_id)).toEqual(['gate.opened', 'gate.overdue', 'gate.expired']);
});

test('approve: a final output that could not be written is not there to be approved, and waits', async () => {
  let isMended = false;
  const run = await story.start(
    { finalize: () => (isMended ? undefined : { status: 401 }) },
    { gate_due_in: '1s', on_timeout: 'approve', webhook_url: endpoint.url },
  );
  await endpoint.untilReceived('gate.overdue');
  isMended = true;
  expect(await run.complete('T4', { decision: 'retry' })).toMatchObject({ status: 200 });
  expect((await run.until('completed')).final_output).toBe('The final output.');
});

test('cancel: the run ends cancelled, in Temporal too', async () => {
  const run = await startAsking({ gate_due_in: '1s', on_timeout: 'cancel' });
  const cancelled = await run.until('cancelled');
  expect(cancelled.tasks[0]).toMatchObject({ status: 'cancelled', gate: { status: 'expired' } });
  await endpoint.untilReceived('cancelled');
  const handle = story.orchflow.client.workflow.getHandle(run.run_id);
  await expect(handle.result()).rejects.toThrow();
  expect((await handle.describe()).status.name).toBe('CANCELLED');
  await until(() => eventsOf(endpoint).length === 3, 'all is told');
  expect(eventsOf(endpoint).toSorted()).toEqual(['cancelled', 'gate.overdue T1', 'waiting_human T1']);
});

test('a gate may have terms of its own, which hold for the task that answers to it', async () => {
  const own = { name: 'contract', gate_due_in: '1s', on_timeout: 'escalate', escalation_webhook_url: escalation.url };
  const human_gates = ['designer', own, { name: 'legal approval', gate_due_in: '1s', on_timeout: 'approve' }];
  const run = await story.start(
    { plan: ['Sign the contract', 'Hire a designer', 'Research rivals'] },
    { human_gates, gate_due_in: '7d', remind_every: '2d', webhook_url: endpoint.url },
  );
  await escalation.untilReceived('gate.overdue');
  const waiting = await run.until((view) => view.waiting_tasks.length === 2);
  expect(waiting.human_gates).toEqual(human_gates);
  expect(eventsOf(escalation)).toEqual(['gate.overdue T1']);
  for (const id of waiting.waiting_tasks) await run.complete(id, { output: 'Done.' });
  const done = await run.until('completed');
  expect(done.tasks.map(({ id, title, output }) => [id, title, output])).toEqual([
    ['T1', 'Sign the contract', 'Done.'],
    ['T2', 'Hire a designer', 'Done.'],
    ['T3', 'Research rivals', 'Output of T3.'],
    ['T4', 'legal approval', null],
  ]);
  const opened = await storedEvents(run, 'gate.opened');
  const waits = Object.fromEntries(opened.map(({ task_id, due_at }) => [task_id, Date.parse(String(due_at))]));
  expect(waits.T2! - waits.T1!).toBeGreaterThan(6 * 24 * 3_600_000);
});

test('an answer and a timeout in the same moment: the first in Postgres stands, everywhere', async () => {
  const terms = { gate_due_in: '1s', on_timeout: 'approve' };
  const runs = await Promise.all(Array.from({ length: 8 }, () => startAsking(terms, { webhook_url: null })));
  await Promise.all(
    runs.map(async (run, index) => {
      const { tasks } = await run.untilWaiting('T1');
      const due = Date.parse(tasks[0]!.gate!.due_at!) + index * 8 - 32;
      await until(() => Date.now() >= due, 'the moment');
      const answer = await run.complete('T1', { output: 'At the last moment.' });
      const done = await run.until('completed');
      const { output, gate } = done.tasks[0]!;
      if (answer.status === 200) {
        expect([output, gate!.status, done.warnings]).toEqual(['At the last moment.', 'answered', []]);
      } else {
        expect([answer.status, output, gate!.status, done.warnings.length]).toEqual([409, null, 'expired', 1]);
      }
    }),
  );
});

test('timers that ran out while no worker was there count at once, and missed reminders are one', async () => {
  const run = await startAsking({ gate_due_in: '8s', remind_every: '2s' });
  await endpoint.untilReceived('waiting_human');
  await story.orchflow.stopWorker();
  const { due_at } = (await run.get()).tasks[0]!.gate!;
  await until(() => Date.now() > Date.parse(due_at!) + 1000, 'the time is over');
  expect(eventsOf(endpoint)).not.toContain('gate.overdue T1');
  await story.orchflow.startWorker();
  await endpoint.untilReceived('gate.overdue');
  await run.complete('T1', { output: 'Ten euros.' });
  await run.until('completed');
  expect(await storedEvents(run, 'gate.overdue')).toHaveLength(1);
  const reminders = (await storedEvents(run, 'gate.reminder')).map(({ reminder }) => Number(reminder));
  expect(reminders).toEqual([...new Set(reminders)].toSorted((a, b) => a - b));
});

test.each([
  ['a duration without a unit', { gate_due_in: '48' }, '/gate_due_in'],
  ['a duration of nothing', { gate_due_in: '0s' }, '/gate_due_in'],
  ['a duration that is no text', { remind_every: 60 }, '/remind_every'],
  ['more than a year', { gate_due_in: '53w' }, '/gate_due_in'],
  ['a timeout that never comes', { on_timeout: 'cancel' }, '/gate_due_in'],
  ['reminders that never come', { gate_due_in: '1h', remind_every: '24h', on_timeout: 'reject' }, '/remind_every'],
  [
    'reminders of one gate that never come',
    { human_gates: [{ name: 'a', remind_every: '1h' }], gate_due_in: '60m', on_timeout: 'approve' },
    '/human_gates/0/remind_every',
  ],
  ['an escalation to nowhere', { gate_due_in: '1h', on_timeout: 'escalate' }, '/escalation_webhook_url'],
  ['an unknown action', { gate_due_in: '1h', on_timeout: 'accept' }, '/on_timeout'],
  ['an address that is none', { escalation_webhook_url: 'ftp://x' }, '/escalation_webhook_url'],
  [
    'a gate that never times out',
    { human_gates: ['a', { name: 'b', on_timeout: 'reject' }] },
    '/human_gates/1/gate_due_in',
  ],
  ['a gate with an unknown field', { human_gates: [{ name: 'b', due: '1h' }] }, '/human_gates/0/due'],
  ['a gate with a wrong duration', { human_gates: [{ name: 'b', gate_due_in: '1y' }] }, '/human_gates/0/gate_due_in'],
  ['a gate without a name', { human_gates: [{ gate_due_in: '1h' }] }, '/human_gates/0/name'],
])('%s is refused with the name of the field', async (_, terms, pointer) => {
  const refused = await story.user.post('/runs', { task: 'x', provider_id: story.provider_id, ...terms });
  expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer }] } });
});
