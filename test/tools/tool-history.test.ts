import { expect, test } from 'vitest';
import { define, resume } from '../harness/orchestration.ts';
import { fetchHistories } from '../harness/replay.ts';
import { useStory } from '../harness/story.ts';

/** Agents that call tools for so long that their run continues as new. */

const story = useStory({ RUN_HISTORY_LIMIT: '100' });
const rounds = 14;

/** The model calls once a turn, and then says what it heard. */
function callInRounds(task_id: string) {
  story.model.on((call) => {
    if (call.task_id !== task_id || call.purpose !== 'execute') return undefined;
    const round = call.calls.length + 1;
    if (round > rounds) return call.calls.map(({ result }) => result).join(' ');
    return { call: [{ name: 'run_javascript', arguments: { code: `'r' + ${round}` } }] };
  });
}

const heard = Array.from({ length: rounds }, (_, index) => `"r${index + 1}"`).join(' ');

async function expectEachOnce(run_id: string) {
  expect((await fetchHistories(story.orchflow.client, run_id)).length).toBeGreaterThan(1);
  const { db } = story.orchflow;
  const events = await db.selectFrom('run_events').selectAll().where('run_id', '=', run_id).execute();
  expect(events.filter(({ type }) => type === 'tool.called')).toHaveLength(rounds);
  expect(story.model.calls.filter(({ tools }) => tools.length)).toHaveLength(rounds + 1);
}

test.each([true, false])('a run goes on in the middle of a tool loop, with approvals: %s', async (require_approval) => {
  const tools = [{ name: 'run_javascript', require_approval }];
  const run = await story.start(
    { plan: ['One', 'Two', 'Three'] },
    { agents: [{ name: 'a', tools }], human_gates: ['two', 'three'] },
  );
  callInRounds('T1');
  const gates = new Set<string>();
  for (let round = 1; require_approval && round <= rounds; round += 1) {
    const { tasks } = await run.until(({ tasks: now }) => {
      const gate = now[0]?.gate;
      return gate?.status === 'open' && !gates.has(gate.gate_id);
    });
    gates.add(tasks[0]!.gate!.gate_id);
    expect(JSON.parse(tasks[0]!.output!)).toEqual({ code: `'r' + ${round}` });
    await run.complete('T1', { decision: 'approve' });
  }
  for (const id of ['T2', 'T3']) {
    await run.untilWaiting(id);
    await run.complete(id, { output: 'Done.' });
  }
  const done = await run.until('completed');
  expect(done.tasks[0]).toMatchObject({ attempts: 1, output: heard });
  await story.orchflow.client.workflow.getHandle(run.run_id).result();
  await expectEachOnce(run.run_id);
});

test('a step of an orchestration goes on in the middle of its tool loop', async () => {
  const allowed_tools = [{ name: 'run_javascript', require_approval: true }];
  const id = await define(story.user, [{ id: 'work', type: 'agent', allowed_tools, output_key: 'work' }]);
  callInRounds('work');
  let answer = await story.user.post(`/orchestrations/${id}/run`, { message: 'Hi' });
  const { run_id } = answer.body;
  for (let round = 1; round <= rounds; round += 1) {
    expect(answer.body, `round ${round}`).toMatchObject({ status: 'paused' });
    answer = await resume(story.user, answer, 'approve');
  }
  expect(answer.body).toMatchObject({ status: 'completed', response: heard });
  await story.orchflow.client.workflow.getHandle(run_id).result();
  await expectEachOnce(run_id);
});
