import { afterEach, beforeEach, expect, test } from 'vitest';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import { resume, define, runSteps as start } from '../harness/orchestration.ts';
import { fetchHistories } from '../harness/replay.ts';
import { useStory } from '../harness/story.ts';

/** Orchestrations whose histories grow long continue as new; those that ship run, also without a provider. */

const story = useStory({ RUN_HISTORY_LIMIT: '100' });
let endpoint: FakeWebhook;
beforeEach(async () => {
  endpoint = await startFakeWebhook();
});
afterEach(() => endpoint.close());

test('a long orchestration continues as new, in the middle of branches and loops, and nobody notices', async () => {
  const { user, model } = story;
  model.on(({ task_id }) => `Output of ${task_id}.`);
  const rounds = 8;
  let answer = await start(user, [
    { id: 'both', type: 'parallel', parallel_branches: [['loop'], ['sign']], next_step_id: null },
    {
      id: 'loop',
      type: 'loop',
      loop_count: rounds,
      loop_step_ids: ['write', 'ask'],
      output_key: 'all',
      next_step_id: null,
    },
    { id: 'write', type: 'llm', output_key: 'text', next_step_id: null },
    { id: 'ask', type: 'human', output_key: 'said', next_step_id: null },
    { id: 'sign', type: 'human', output_key: 'signed', next_step_id: null },
  ]);
  for (let round = 1; round <= rounds; round += 1) {
    await expect
      .poll(async () => (await user.get(`/orchestrations/runs/${answer.body.run_id}`)).body.waiting.length)
      .toBe(2);
    const { waiting } = (await user.get(`/orchestrations/runs/${answer.body.run_id}`)).body;
    const { gate_id } = waiting.find((one: any) => one.step_id === 'ask');
    const taken = await resume(user, answer, `Round ${round}`, { gate_id });
    expect(taken.status, JSON.stringify(taken.body)).toBe(200);
    if (round < rounds) {
      await expect
        .poll(async () => {
          const { body } = await user.get(`/orchestrations/runs/${answer.body.run_id}`);
          return body.waiting.some((one: any) => one.step_id === 'ask' && one.gate_id !== gate_id);
        })
        .toBe(true);
    }
  }
  answer = await resume(user, answer, 'Signed.', { step_id: 'sign' });
  expect(answer.body, JSON.stringify(answer.body)).toMatchObject({ status: 'completed' });
  const said = Array.from({ length: rounds }, (_, n) => ({
    iteration: n + 1,
    agent: 'ask',
    result: { response: `Round ${n + 1}` },
  }));
  expect(answer.body.shared_state).toMatchObject({ said, signed: { response: 'Signed.' } });
  expect(answer.body.shared_state.text).toHaveLength(rounds);
  expect(model.calls).toHaveLength(rounds);
  const histories = await fetchHistories(story.orchflow.client, answer.body.run_id);
  expect(histories.length).toBeGreaterThanOrEqual(2);
});

test('those that ship run to their end, on the demo model too', async () => {
  // Without a provider: these run on the server's model.
  const user = await story.orchflow.register();
  const triage = await user.post('/orchestrations/orch-support-triage/run', {
    message: 'My invoice is wrong, I want my payment back',
  });
  expect(triage.body.human_input_required, JSON.stringify(triage.body)).toMatchObject({ step_id: 'refund' });
  const answered = await resume(user, triage, { refund: true, note: 'Sorry.' });
  expect(answered.body).toMatchObject({ status: 'completed', shared_state: { topic: 'billing' } });
  expect(answered.body.shared_state.answer).toContain('offline demo model');

  const opinions = await user.post('/orchestrations/orch-second-opinions/run', {
    message: 'Sell ice',
  });
  expect(opinions.body, JSON.stringify(opinions.body)).toMatchObject({ status: 'completed' });
  expect(opinions.body.response).toMatch(/^After 2 rounds:/);
  expect(Object.keys(opinions.body.shared_state.drafts)).toEqual(['Advise']);
});

test('the webhook of a run hears of its pauses and its end; the same request finds the same run', async () => {
  const { user } = story;
  const id = await define(user, [
    { id: 'ask', type: 'human', output_key: 'ask' },
    { id: 'end', type: 'end' },
  ]);
  const body = JSON.stringify({ message: 'Hello', webhook_url: endpoint.url });
  const headers = { 'x-api-key': user.api_key, 'content-type': 'application/json', 'idempotency-key': 'once' };
  const url = `${story.orchflow.url}/api/v1/orchestrations/${id}/run`;
  const [first, second] = [
    await (await fetch(url, { method: 'POST', headers, body })).json(),
    await (await fetch(url, { method: 'POST', headers, body })).json(),
  ] as any[];
  expect(second).toEqual(first);
  const { payload } = await endpoint.untilReceived('waiting_human');
  expect(payload).toEqual({ run_id: first.run_id, event: 'waiting_human', waiting_tasks: ['ask'] });
  await user.post(`/orchestrations/runs/${first.run_id}/resume`, { response: 'Hi' });
  expect((await endpoint.untilReceived('completed')).payload.run_id).toBe(first.run_id);
});
