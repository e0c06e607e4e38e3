import { expect, test } from 'vitest';
import { until } from '../harness/orchflow.ts';
import { useStory } from '../harness/story.ts';

/** Orchestrations, started and resumed as the page shows. */

const story = useStory();

test('the orchestration of the page runs, pauses for a person, and completes', async () => {
  const { user, model } = story;
  model.on(({ task_id }) => `Output of ${task_id}.`);
  const paused = await user.post('/orchestrations/orch-research-report/run', { message: 'Synapse AI platform' });
  expect(paused).toMatchObject({ status: 200 });
  const { run_id } = paused.body;
  expect(paused.body).toEqual({
    status: 'paused',
    run_id: expect.stringMatching(/^run_\w+$/),
    human_input_required: {
      step_id: 'step-approve',
      prompt: 'Please review the draft article and decide whether to publish.',
      fields: [
        { name: 'decision', type: 'select', label: 'Decision', options: 'approve,reject,yes,no' },
        { name: 'notes', type: 'text', label: 'Editor notes' },
      ],
      agent_context: 'Output of step-write.',
      task_id: 'step-approve',
      gate_id: expect.stringMatching(/^gate_/),
      due_at: null,
    },
    warnings: [],
  });
  const path = `/orchestrations/runs/${run_id}`;
  expect(await user.post(`${path}/resume`, { response: { decision: 'maybe' } })).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: '/response/decision', detail: 'must be one of approve, reject, yes, no' }] },
  });

  const again = await user.post(`${path}/resume`, { response: { decision: 'reject', notes: 'Shorter.' } });
  expect(again.body).toMatchObject({
    status: 'paused',
    human_input_required: { agent_context: 'Output of step-write.2.' },
  });
  const rewritten = model.calls.find(({ task_id }) => task_id === 'step-write.2')!;
  expect(rewritten.prompt).toContain('Shorter.');
  expect(rewritten.prompt).toContain('Output of step-write.');

  const done = await user.post(`${path}/resume`, { response: { decision: 'approve', notes: 'Good.' } });
  expect(done).toMatchObject({ status: 200, body: { status: 'completed', run_id } });
  expect(done.body.response).toBe('Research and report generation complete.');
  expect(done.body.shared_state).toMatchObject({
    query: 'Synapse AI platform',
    user_input: 'Synapse AI platform',
    research_results: 'Output of step-research.',
    article: 'Output of step-write.2.',
    review: { decision: 'approve', notes: 'Good.' },
    human_response: { decision: 'approve', notes: 'Good.' },
    '_if_decision_step-decide': 'true',
  });
  expect(done.body.step_history.map((step: any) => [step.task_id, step.status, step.turns])).toEqual([
    ['step-research', 'completed', 1],
    ['step-write', 'completed', 1],
    ['step-approve', 'completed', 0],
    ['step-decide', 'completed', 0],
    ['step-write.2', 'completed', 1],
    ['step-approve.2', 'completed', 0],
    ['step-decide.2', 'completed', 0],
    ['step-finish', 'completed', 0],
  ]);
  expect(done.body.step_history[0]).toMatchObject({ step_id: 'step-research', step_name: 'Research', type: 'agent' });
  expect(done.body.step_history[0].cost_usd).toBeGreaterThan(0);
  expect(await user.post(`${path}/resume`, { response: { decision: 'approve' } })).toMatchObject({
    status: 409,
    body: { code: 'RUN_NOT_PAUSED' },
  });

  const run = await user.openRun(run_id).get();
  expect(run).toMatchObject({ status: 'completed', orchestration_id: 'orch-research-report' });
  expect(run.tasks[0]).toMatchObject({ id: 'step-research', step_id: 'step-research', step_type: 'agent' });
  await until(async () => (await user.get(path)).body.status === 'completed', 'read as completed');
});
