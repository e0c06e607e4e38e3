import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { textsOf } from '../harness/canaries.ts';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { startOrchflow, type Orchflow } from '../harness/orchflow.ts';
import { killProcesses, startApiProcess, startWorkerHere, startWorkerProcess } from '../harness/processes.ts';
import { inTurn, scriptRun } from '../harness/script.ts';

/** What a run leaves in Temporal and in the logs. Both are read by people who may not read what the run is about. */

let orchflow: Orchflow;
let model: FakeModel;

beforeAll(async () => {
  orchflow = await startOrchflow({ worker: false });
});
afterAll(() => orchflow.stop());
beforeEach(async () => {
  model = await startFakeModel();
});
afterEach(async () => {
  await killProcesses();
  await model.close();
});

function longText(name: string): string {
  return `${name} `.padEnd(19_900, `${name} and more. `) + `END-OF-${name}`;
}

test('histories and logs hold no long text', async () => {
  const env: Record<string, string> = { ...orchflow.env, LOG_LEVEL: 'debug' };
  const [api, worker] = await Promise.all([startApiProcess(env), startWorkerProcess(env)]);
  const user = await api.register();
  scriptRun(model, {
    plan: [{ title: 'Research', description: longText('DESCRIPTION') }, 'Compare', 'Report'],
    dependencies: { T3: ['T2'], T4: ['T3'] },
    execute: inTurn({ status: 401 }, longText('OUTPUT'), longText('OUTPUT'), longText('OUTPUT')),
    evaluate: inTurn({ passed: false, score: 0.1, feedback: longText('FEEDBACK') }),
    finalize: inTurn(longText('FINAL')),
  });
  const run = await user.startRun({
    task: longText('GOAL'),
    agents: [{ name: 'writer', system_prompt: longText('PROMPT') }],
    ask_me_about: ['brand voice'],
    provider_id: await user.addProvider(model),
  });
  await run.untilWaiting('T1');
  await run.complete('T1', { output: longText('ANSWER') });
  await run.untilWaiting('T2');
  await run.complete('T2', { decision: 'reject', output: longText('REJECTION') });
  expect((await run.until('completed')).final_output).toContain('END-OF-FINAL');

  const handle = orchflow.client.workflow.getHandle(run.run_id);
  await handle.result();
  const texts = textsOf(await handle.fetchHistory());
  expect(texts.some((text) => text.includes(run.run_id))).toBe(true);
  const everything = texts.join('\n') + api.log() + worker.log();
  expect(/END-OF-\w+/.exec(everything)).toBeNull();
  expect(texts.filter((text) => text.length > 4_000)).toEqual([]);
  expect(texts.join('').length).toBeLessThan(50_000);
  expect(api.log()).toContain('request');
});

test('no step of a run is lost by being late: a server that is switched off over a weekend goes on', async () => {
  scriptRun(model);
  const [api] = await Promise.all([startApiProcess(orchflow.env), startWorkerHere(orchflow.env)]);
  const user = await api.register();
  const provider_id = await user.addProvider(model);
  const run = await user.startRun({ task: 'Launch a newsletter', provider_id, human_gates: ['sign-off'] });
  // That it waits rides with nothing.
  const { waiting_tasks } = await run.until('waiting_human');
  await run.complete(waiting_tasks[0]!, { output: 'Signed.' });
  await run.until('completed');
  const { events } = await orchflow.client.workflow.getHandle(run.run_id).fetchHistory();
  const limits = events!.flatMap(
    ({ workflowExecutionStartedEventAttributes: start, activityTaskScheduledEventAttributes: step }) => [
      ...(start ? [start.workflowExecutionTimeout, start.workflowRunTimeout] : []),
      ...(step ? [step.scheduleToCloseTimeout, step.scheduleToStartTimeout] : []),
    ],
  );
  // Of the run, of its five steps and of what it writes by itself. Zero is no limit.
  expect(limits.length).toBeGreaterThan(12);
  expect(limits.map((limit) => Number(limit?.seconds ?? 0))).toEqual(limits.map(() => 0));
});
