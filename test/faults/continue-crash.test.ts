import { sql } from 'kysely';
import { afterAll, expect, test } from 'vitest';
import type { temporal } from '@temporalio/proto';
import type { Db } from '../../db/index.ts';
import { eventsOf } from '../../workflows/growth.ts';
import { startFakeModel, type Purpose } from '../fakes/model.ts';
import { startOrchflow, until, type Orchflow, type TestRun } from '../harness/orchflow.ts';
import { killProcesses, startWorkerHere, startWorkerProcess } from '../harness/processes.ts';
import { startTemporalLine } from '../harness/proxy.ts';
import { fetchHistories, replayHistories } from '../harness/replay.ts';
import { scriptRun } from '../harness/script.ts';
import { untilBlocked } from '../harness/rows.ts';

/** Workers that are killed in the moment in which a run continues as new. Most of it is waiting, so all at once. */

type HistoryEvent = temporal.api.history.v1.IHistoryEvent;

const historyLimit = 100;
afterAll(killProcesses);

/** As the workflow counts it. */
function growthOf(events: HistoryEvent[]): number {
  const activities = events.filter((event) => event.activityTaskScheduledEventAttributes);
  const signals = events.filter((event) => event.workflowExecutionSignaledEventAttributes);
  return activities.length * eventsOf.activity + signals.length * eventsOf.signal;
}

/** From one evaluation to the next: it is written that a person is asked, who sends it back. */
const ofAttempt = 2 * eventsOf.activity + eventsOf.signal;

/** A worker with a line of its own to Temporal. */
async function startWorker({ env }: Orchflow) {
  const { line, env: own } = await startTemporalLine(env);
  return { worker: await startWorkerProcess(own), line };
}

/** Each by what it says. They are numbered without a gap. */
async function listEvents(db: Db, { run_id }: TestRun): Promise<string[]> {
  const events = await db.selectFrom('run_events').selectAll().where('run_id', '=', run_id).orderBy('seq').execute();
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
  return events.map(({ type, data }) =>
    [type, data.task_id, data.attempt, data.gate_id, data.phase].filter(Boolean).join(' '),
  );
}

test.concurrent.for(['before', 'after'] as const)(
  'a worker killed as the run continues as new, %s Temporal has taken that: it goes on, nothing is lost or done twice',
  async (moment) => {
    const environment = { RUN_HISTORY_LIMIT: String(historyLimit) };
    const [orchflow, model] = await Promise.all([startOrchflow({ worker: false, environment }), startFakeModel()]);
    let evaluation = Promise.withResolvers<undefined>();
    scriptRun(model, {
      execute: ({ task_id }) => (task_id === 'T1' ? `Draft ${asked('execute').length}.` : undefined),
      evaluate: ({ task_id }) => (task_id === 'T1' ? evaluation.promise : undefined),
    });
    /** For the task that is sent back. */
    const asked = (purpose: Purpose) => model.callsFor(purpose).filter(({ task_id }) => task_id === 'T1');
    const { worker, line } = await startWorker(orchflow);
    const user = await orchflow.register();
    const provider_id = await user.addProvider(model);
    const run = await user.startRun({ task: 'Report', require_approval: true, provider_id });
    const handle = orchflow.client.workflow.getHandle(run.run_id);
    const describe = () => handle.describe();
    const left = async () => historyLimit - growthOf((await handle.fetchHistory()).events!);
    const untilAsked = (attempt: number) =>
      run.until(({ tasks }) => tasks[0]?.attempts === attempt && tasks.every(({ gate }) => gate?.status === 'open'));

    let attempts = 1;
    for (; ; attempts += 1) {
      await model.until(() => asked('evaluate').length === attempts, 'an evaluation');
      if ((await left()) <= ofAttempt) break;
      evaluation.resolve(undefined);
      await untilAsked(attempts);
      evaluation = Promise.withResolvers();
      await run.complete('T1', { decision: 'reject', output: `Remark ${attempts}.` });
    }

    // So that what crosses the limit is that it writes that a person is asked. A signal of which nothing comes is counted too.
    while ((await left()) > eventsOf.activity) await handle.signal('release');

    const first = await describe();
    await orchflow.db.transaction().execute(async (lock) => {
      await sql`lock table gates in share mode`.execute(lock);
      evaluation.resolve(undefined);
      // Before it continues as new, it writes that.
      await untilBlocked(orchflow.db, 'the gate is being written');
      if (moment === 'before') line.silence();
    });
    if (moment === 'after') await until(async () => (await describe()).runId !== first.runId, 'Temporal has taken it');
    else await until(() => line.held() > 0, 'the worker has reported that it is written');
    await worker.kill();
    line.close();

    await startWorkerHere(orchflow.env);
    await until(async () => (await describe()).runId !== first.runId, 'it continues as new');
    const { gate } = (await untilAsked(attempts)).tasks[0]!;
    await run.complete('T1', { decision: 'reject', output: 'The last remark.', gate_id: gate!.gate_id });
    await untilAsked(attempts + 1);
    await Promise.all(['T1', 'T2', 'T3'].map((id) => run.complete(id, {})));
    const done = await run.until('completed');
    expect(done.tasks[0]).toMatchObject({ attempts: attempts + 1, output: `Draft ${attempts + 1}.` });
    expect(done.usage.llm_calls).toBe(3 + 2 * (attempts + 3));
    expect(model.calls).toHaveLength(done.usage.llm_calls);
    const remarks = asked('execute').map(({ prompt }) => /(Remark \d+|The last remark)\./.exec(prompt)?.[1]);
    const given = Array.from({ length: attempts - 1 }, (_, index) => `Remark ${index + 1}`);
    expect(remarks).toEqual([undefined, ...given, 'The last remark']);

    const told = await listEvents(orchflow.db, run);
    expect(told).toEqual([...new Set(told)]);
    expect(told.filter((event) => event.startsWith('gate.opened'))).toHaveLength(attempts + 3);
    const [, before] = await fetchHistories(orchflow.client, run.run_id);
    const last = before!.events!.findLast((event) => event.workflowTaskCompletedEventAttributes);
    const { identity } = last!.workflowTaskCompletedEventAttributes!;
    expect(identity!.startsWith(`${worker.pid}@`)).toBe(moment === 'after');

    await model.close();
    model.assertNothingUnscripted();
    await replayHistories(orchflow);
    await orchflow.stop();
  },
);
