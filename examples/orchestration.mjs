/**
 * A plan of your own: a writer drafts, you review, and what you reject is written again. It is created, run, paused for
 * you, sent back once, approved, and completed.
 *
 * ORCHFLOW_URL is http://localhost:8000 unless given; without ORCHFLOW_API_KEY a new account is registered.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

const base = `${process.env.ORCHFLOW_URL ?? 'http://localhost:8000'}/api/v1`;
let key = process.env.ORCHFLOW_API_KEY;
const signal = AbortSignal.timeout(600_000);

const definition = {
  name: 'Launch post',
  state_schema: { product: { type: 'string' } },
  max_total_cost_usd: 0.5,
  entry_step_id: 'draft',
  steps: [
    {
      id: 'draft',
      name: 'Draft',
      type: 'agent',
      agent_id: 'writer',
      prompt_template: 'Write a launch post for {state.product}. Follow the notes of the review, if there is one.',
      output_key: 'post',
      next_step_id: 'review',
    },
    {
      id: 'review',
      name: 'Review',
      type: 'human',
      human_prompt: 'Publish this?',
      input_keys: ['post'],
      human_fields: [
        { name: 'decision', type: 'select', label: 'Decision', options: 'approve,reject' },
        { name: 'notes', type: 'text', label: 'Notes' },
      ],
      output_key: 'review',
      next_step_id: 'decide',
    },
    {
      id: 'decide',
      name: 'Approved?',
      type: 'if_else',
      if_condition: "state.review.decision === 'approve'",
      if_true_step_id: 'done',
      if_false_step_id: 'draft',
    },
    { id: 'done', name: 'Done', type: 'end' },
  ],
};

/** What you say to each draft. */
const answers = [
  { decision: 'reject', notes: 'Say what it costs.' },
  { decision: 'approve', notes: 'Publish it on Monday.' },
];

/**
 * An answer with Retry-After is worth another try, for a minute: a server that is busy or just starting, or our own first
 * try still at work. The key lets nothing be done twice.
 */
async function call(method, path, body) {
  const headers = { 'content-type': 'application/json', 'idempotency-key': randomUUID() };
  if (key) headers['x-api-key'] = key;
  const request = { method, headers, body: JSON.stringify(body) };
  for (const end = Date.now() + 60_000; ;) {
    const response = await fetch(base + path, { ...request, signal });
    if (response.ok) return response.json();
    const pause = Number(response.headers.get('retry-after')) * 1000;
    if (!pause || Date.now() + pause > end) {
      throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    }
    await sleep(pause);
  }
}

/**
 * The run, as soon as it has paused or ended. The answers to `run` and `resume` would wait for that too, for ten minutes,
 * but `fetch` waits for five at most, and many proxies for one: so they are told to, and the rest is waited for here.
 */
async function settled(run) {
  while (run.status === 'running') {
    await call('GET', `/runs/${run.run_id}?wait=60`);
    run = await call('GET', `/orchestrations/runs/${run.run_id}`);
  }
  return run;
}

async function main() {
  if (!key) {
    const account = { name: 'Your Name', email: `you+${randomUUID()}@example.com` };
    ({ api_key: key } = await call('POST', '/auth/register', account));
    console.log('Registered a new account. Set ORCHFLOW_API_KEY to use yours.');
  }

  const { id } = await call('POST', '/orchestrations', definition);
  console.log(`Created ${id}`);
  try {
    let run = await settled(await call('POST', `/orchestrations/${id}/run?wait=60`, { message: 'a note-taking app' }));
    for (const response of answers) {
      if (run.status !== 'paused') break;
      const { prompt, agent_context, gate_id } = run.human_input_required;
      console.log(
        `\n${run.run_id} has paused: ${prompt}\n\n${agent_context}\n\nAnswered: ${response.decision}. ${response.notes}`,
      );
      const path = `/orchestrations/runs/${run.run_id}/resume?wait=60`;
      run = await settled(await call('POST', path, { response, gate_id }));
    }
    if (run.status !== 'completed')
      throw new Error(`The run is ${run.status}: ${run.response ?? run.human_input_required?.prompt}`);
    console.log(`\nCompleted. The steps:`);
    for (const step of run.step_history) console.log(`  ${step.task_id} ${step.status}`);
    console.log(`The review: ${JSON.stringify(run.shared_state.review)}`);
  } finally {
    // A run keeps the definition that it began with.
    await call('DELETE', `/orchestrations/${id}`);
  }
}

await main().catch((error) => {
  console.error(error.message, error.cause?.code ?? '');
  process.exitCode = 1;
});
