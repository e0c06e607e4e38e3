/** Every step of a client of Orchflow, by openapi-fetch with the types that openapi-typescript has made of /openapi.json. */
import assert from 'node:assert/strict';
import createClient, { type Client } from 'openapi-fetch';
import type { components, paths } from './api.d.ts';

const baseUrl = process.env.ORCHFLOW_URL!;
const email = `openapi.fetch.${Math.random()}@example.com`;
const registered = await createClient<paths>({ baseUrl }).POST('/api/v1/auth/register', {
  body: { name: 'Ada', email },
});
const client = createClient<paths>({ baseUrl, headers: { 'X-API-Key': registered.data!.api_key } });

const run_id = await answerGate(client);
await refusals(client, run_id);
await gates(client);
await pages(client);
await orchestration(client);
await definition(client);
const events = await client.GET('/api/v1/runs/{run_id}/events', { params: { path: { run_id } }, parseAs: 'text' });
const text: string = events.data!;
assert.match(text, /^event: run.completed$/m);

async function readRun({ GET }: Client<paths>, run_id: string) {
  const { data, error } = await GET('/api/v1/runs/{run_id}', { params: { path: { run_id }, query: { wait: 30 } } });
  if (error) throw new Error(error.detail);
  return data;
}

async function answerGate(client: Client<paths>): Promise<string> {
  const goal = { task: 'Compare three note apps.', ask_me_about: ['the budget'], agents: [{ name: 'research' }] };
  const { run_id } = (await client.POST('/api/v1/runs', { body: goal })).data!;
  let run = await readRun(client, run_id);
  while (run.waiting_tasks.length === 0) run = await readRun(client, run_id);
  const { data } = await client.POST('/api/v1/runs/{run_id}/tasks/{task_id}/complete', {
    params: { path: { run_id, task_id: 'T1' } },
    body: { output: 'Ten euros.', gate_id: run.tasks[0]!.gate!.gate_id },
  });
  assert.equal(data!.decision, 'approve');
  while (run.status !== 'completed') {
    assert.notEqual(run.status, 'failed');
    run = await readRun(client, run_id);
  }
  assert.ok(run.final_output);
  return run_id;
}

async function refusals({ POST }: Client<paths>, run_id: string) {
  const again = await POST('/api/v1/runs/{run_id}/tasks/{task_id}/complete', {
    params: { path: { run_id, task_id: 'T1' } },
    body: { output: 'Twenty.' },
  });
  assert.equal(again.error!.answer!.output, 'Ten euros.');
  const empty = await POST('/api/v1/runs', { body: { task: ' ' } });
  assert.equal(empty.error!.errors![0]!.pointer, '/task');
}

async function gates({ GET, POST, DELETE }: Client<paths>) {
  const human_gates = ['legal approval', { name: 'the price', gate_due_in: '1d' }];
  const { run_id } = (await POST('/api/v1/runs', { body: { task: 'Set a price.', human_gates } })).data!;
  const run = await GET('/api/v1/runs/{run_id}', { params: { path: { run_id } } });
  const gate = run.data!.human_gates[1]!;
  assert.equal(typeof gate === 'string' ? gate : gate.gate_due_in, '1d');
  const cancelled = await DELETE('/api/v1/runs/{run_id}', { params: { path: { run_id } } });
  assert.equal(cancelled.data!.status, 'cancelled');
}

async function pages({ GET }: Client<paths>) {
  const first = (await GET('/api/v1/runs', { params: { query: { limit: 1 } } })).data!;
  const query = { limit: 1, cursor: first.next_cursor! };
  const second = (await GET('/api/v1/runs', { params: { query } })).data!;
  assert.equal(second.has_more, false);
  assert.notEqual(first.runs[0]!.run_id, second.runs[0]!.run_id);
}

async function orchestration({ POST }: Client<paths>) {
  const path = { orch_id: 'orch-research-report' };
  const body = { message: 'Note apps' };
  const ran = (await POST('/api/v1/orchestrations/{orch_id}/run', { params: { path }, body })).data!;
  assert.ok(ran.status === 'paused');
  assert.ok(ran.human_input_required.prompt);
  const resumed = await POST('/api/v1/orchestrations/runs/{run_id}/resume', {
    params: { path: { run_id: ran.run_id } },
    body: { response: { decision: 'approve' } },
  });
  const ended = resumed.data!;
  assert.ok(ended.status === 'completed');
  assert.ok(Object.keys(ended.shared_state).length);
  const goesOn = await POST('/api/v1/orchestrations/{orch_id}/run', { params: { path, query: { wait: 0 } }, body });
  assert.ok(goesOn.data!.status === 'running');
}

async function definition({ POST }: Client<paths>) {
  const ask: components['schemas']['HumanStep'] = {
    id: 'ask',
    name: 'Ask',
    type: 'human',
    human_fields: [{ name: 'size', type: 'number' }],
    next_step_id: 'end',
  };
  const body = { name: 'Ask', entry_step_id: 'ask', steps: [ask, { id: 'end', name: 'End', type: 'end' as const }] };
  const created = await POST('/api/v1/orchestrations', { body });
  assert.equal(created.data!.steps.length, 2);
}
