import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { listCodeRuns } from '../../db/code-runs.ts';
import { runAgent } from '../harness/agent.ts';
import { registerCode } from '../harness/code.ts';
import { until, type TestRun } from '../harness/orchflow.ts';
import { present } from '../harness/sandboxes.ts';
import { useStory } from '../harness/story.ts';

/** Workers that are killed in the middle of the code of an agent. */

describe.skipIf(!present.bubblewrap)('a worker killed in the middle of code', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'orchflow-code-crash-'));
  chmodSync(folder, 0o711);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const story = useStory(
    { SANDBOX_DRIVER: 'bubblewrap', SANDBOX_DIR: path.join(folder, 'sandbox') },
    { worker: false },
  );

  test('only what may be run again is; the rest fails, or asks; nothing of it is left on the machine', async () => {
    const { orchflow, user } = story;
    const code = { 'main.py': 'import time; time.sleep(4); print("[1]")' };
    const register = (name: string, more: object) => registerCode(orchflow, user, code, { name, ...more });
    const agents = [
      await register('again', { idempotent: true }),
      await register('once', {}),
      await register('asks', { on_interrupted: 'ask' }),
    ];
    const worker = await story.startWorkerProcess();
    // All of it is at work at once, before the first is done.
    const runs = await Promise.all(agents.map((agent_id) => runAgent(user, agent_id)));
    const codeRuns = (index: number) => listCodeRuns(orchflow.db, runs[index]!.run_id);
    const counts = async () => Promise.all(runs.map(async (_, index) => (await codeRuns(index)).length));
    await until(async () => (await counts()).join() === '1,1,1', 'all of it runs');
    const [left] = readdirSync(path.join(folder, 'sandbox'));
    await worker.kill();
    await story.startWorkerProcess();

    const [again, once, asks] = runs as [TestRun, TestRun, TestRun];
    expect(await again.until('completed')).toMatchObject({ final_output: '[1]' });
    expect(await codeRuns(0)).toMatchObject([{ ended: 'interrupted' }, { try: 2, ended: 'exited' }]);
    expect((await once.until('failed')).error).toContain('was lost in the middle');
    expect(await codeRuns(1)).toMatchObject([{ ended: 'interrupted' }]);
    const waiting = await asks.untilWaiting('T1');
    expect(waiting.tasks[0]!.gate).toMatchObject({ kind: 'escalation', reason: expect.stringContaining('was lost') });
    expect((await asks.complete('T1', { decision: 'retry' })).status).toBe(200);
    expect(await asks.until('completed')).toMatchObject({ final_output: '[1]' });

    expect(existsSync(path.join(folder, 'sandbox', left!))).toBe(false);
    const keys = orchflow.db.selectFrom('api_keys').select('key_id').where('run_id', 'is not', null);
    expect(await keys.execute()).toEqual([]);
  });
});
