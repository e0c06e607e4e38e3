import type { Others } from './spy.ts';
import type { Attack, Hostile } from './tenant.ts';

/** Reaching for what is another account's: each of these is 404, as if it did not exist. */

type Reach = { method: string; path: string; body?: object; isLimited?: true };

const definition = {
  name: 'X',
  entry_step_id: 'a',
  steps: [{ id: 'a', name: 'A', type: 'print', print_content: 'x' }],
};

function reachesFor({
  run_id,
  task_id,
  gate_id,
  provider_id,
  key_id,
  delivery_id,
  subscription_id,
  orchestration_id: orch_id,
  agent_id,
  person_id,
}: Others): Reach[] {
  const get = (path: string) => ({ method: 'GET', path });
  const post = (path: string, body?: object) => ({ method: 'POST', path, body });
  const remove = (path: string) => ({ method: 'DELETE', path });
  return [
    get(`/runs/${run_id}`),
    get(`/runs/${run_id}?live=true`),
    { ...get(`/runs/${run_id}?wait=2`), isLimited: true },
    get(`/runs/${run_id}/tasks`),
    get(`/runs/${run_id}/events`),
    get(`/orchestrations/runs/${run_id}`),
    get(`/orchestrations/${orch_id}`),
    post(`/runs/${run_id}/rerun`, { from_task: task_id }),
    post(`/orchestrations/runs/${run_id}/retry?wait=0`),
    post(`/orchestrations/runs/${run_id}/cancel`),
    post(`/orchestrations/${orch_id}/run?wait=0`, { message: 'x' }),
    { ...post(`/orchestrations/${orch_id}/run/stream`, { message: 'x' }), isLimited: true },
    { ...post(`/webhooks/deliveries/${delivery_id}/redeliver`), isLimited: true },
    get(`/webhooks/subscriptions/${subscription_id}`),
    post(`/webhooks/subscriptions/${subscription_id}/rotate-secret`),
    { ...post(`/webhooks/subscriptions/${subscription_id}/test`), isLimited: true },
    { method: 'PATCH', path: `/webhooks/subscriptions/${subscription_id}`, body: { status: 'disabled' } },
    { method: 'PUT', path: `/orchestrations/${orch_id}`, body: definition },
    remove(`/runs/${run_id}`),
    remove(`/providers/${provider_id}`),
    remove(`/keys/${key_id}`),
    remove(`/orchestrations/${orch_id}`),
    remove(`/webhooks/subscriptions/${subscription_id}`),
    post('/runs', { task: 'Take what there is.', provider_id }),
    post('/runs', { task: 'Take what there is.', fallback_provider_ids: [provider_id] }),
    post('/providers', { provider: 'openai', api_key: 'sk-canaryx', replaces: provider_id }),
    get(`/agents/${agent_id}`),
    get(`/agents/${agent_id}/versions`),
    get(`/agents/${agent_id}/versions/v1`),
    { method: 'PATCH', path: `/agents/${agent_id}`, body: { system_prompt: 'xstolen' } },
    remove(`/agents/${agent_id}`),
    post(`/agents/${agent_id}/runs`, { input: 'Take what there is.' }),
    get(`/people/${person_id}`),
    { method: 'PATCH', path: `/people/${person_id}`, body: { status: 'inactive' } },
    remove(`/people/${person_id}`),
    post(`/people/${person_id}/key`),
    get(`/inbox/${gate_id}`),
    post(`/runs/${run_id}/tasks/${task_id}/assign`, { person_id: null }),
    ...answersTo(run_id, task_id, gate_id),
    ...steeringOf(run_id, task_id),
  ];
}

/** What changes the course of a run of another, and what tells it. */
function steeringOf(run_id: string, task_id: string): Reach[] {
  const run = `/runs/${run_id}`;
  const steering = ['retry', 'correct', 'skip', 'cancel'].map((action) => ({
    method: 'POST',
    path: `${run}/tasks/${task_id}/${action}`,
    body: action === 'correct' ? { output: 'xstolen' } : {},
  }));
  return [
    ...steering,
    { method: 'POST', path: `${run}/hold` },
    { method: 'POST', path: `${run}/release` },
    { method: 'PATCH', path: run, body: { tags: ['xstolen'], max_tokens: 1 } },
    { method: 'DELETE', path: `${run}?purge=true` },
    { method: 'GET', path: `${run}/audit` },
    { method: 'GET', path: `${run}/tasks/${task_id}/attempts` },
  ];
}

/** Answers at a gate of another, by every door. */
function answersTo(run_id: string, task_id: string, gate_id: string): Reach[] {
  const complete = `/runs/${run_id}/tasks/${task_id}/complete`;
  const resume = `/orchestrations/runs/${run_id}/resume`;
  return [
    { method: 'POST', path: complete, body: { decision: 'approve', output: 'xstolen', gate_id } },
    { method: 'POST', path: complete, body: { output: 'xstolen' } },
    { method: 'POST', path: complete, body: { decision: 'reject', output: 'xstolen', send_back_to: 'T1' } },
    { method: 'POST', path: `${resume}?wait=0`, body: { response: { audience: 'xstolen' }, gate_id } },
    { method: 'POST', path: `${resume}/stream`, body: { response: 'xstolen' }, isLimited: true },
  ];
}

/** What would be one too many of its own is refused first, whatever it is of. */
const reach = (ask: Hostile['ask'], { isLimited, ...request }: Reach) =>
  ask({ ...request, due: isLimited ? [404, 429] : [404] });

/** Everything that the API has, with the ids of another. */
const othersThings: Attack = async ({ spy, ask, random, atOnce }) => {
  const others = await spy.others();
  if (!others) return;
  const reaches = reachesFor(others);
  await atOnce(12, () => reach(ask, random.pick(reaches)));
};

/** A gate that waits for people of another account, from all sides at once. */
const othersGates: Attack = async ({ spy, ask }) => {
  const others = await spy.others();
  if (!others) return;
  const { run_id, task_id, gate_id } = others;
  await Promise.all(answersTo(run_id, task_id, gate_id).map((one) => reach(ask, one)));
};

/** A gate of its own, answered for another one, or for one that is none. */
const wrongGates: Attack = async ({ startGoal, spy, post, pause }) => {
  const run_id = await startGoal('plain', { ask_me_about: ['what there is'] });
  const others = await spy.others();
  await pause(1_500);
  if (!run_id) return;
  for (const gate_id of [others?.gate_id ?? 'gate_none', `${run_id}/T1/99`]) {
    await post(`/runs/${run_id}/tasks/T1/complete`, { output: 'x', gate_id }, [404, 409]);
  }
  await post(`/runs/${run_id}/tasks/T1/complete`, { output: 'x'.repeat(100_001) }, [422]);
  await post(`/runs/${run_id}/tasks/T99/complete`, { output: 'x' }, [404]);
};

/** Lists have its own things only, whatever the cursor. */
const lists: Attack = async ({ get, random }) => {
  await get(
    random.pick([
      '/runs?limit=100',
      '/orchestrations/runs',
      '/orchestrations',
      '/providers',
      '/keys',
      '/files',
      '/tools/mcp',
      '/agents',
      '/people',
      '/inbox?limit=100',
      '/webhooks/deliveries',
      '/webhooks/subscriptions',
    ]),
  );
};

export const others = { othersThings, othersGates, wrongGates, lists };
