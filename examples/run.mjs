/**
 * A run, live: what happens in it as it happens, and its result as the model writes it.
 *
 * ORCHFLOW_URL is http://localhost:8000 unless given; without ORCHFLOW_API_KEY a new account is registered.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

const base = `${process.env.ORCHFLOW_URL ?? 'http://localhost:8000'}/api/v1`;
let key = process.env.ORCHFLOW_API_KEY;
const signal = AbortSignal.timeout(600_000);

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

/** The events of a run until its end, each once, also when connections are lost: the last `id` says where to go on. */
async function* follow(run_id) {
  let seen = '0';
  for (let failures = 0; failures < 5; failures += 1) {
    try {
      const headers = { 'x-api-key': key, 'last-event-id': seen };
      for await (const { id, data } of readEvents(`${base}/runs/${run_id}/events`, headers)) {
        failures = 0;
        seen = id ?? seen;
        const event = JSON.parse(data);
        yield event;
        if (event.type === 'done') return;
      }
    } catch (error) {
      signal.throwIfAborted();
      console.error(`The stream broke off: ${error.message}`);
    }
    await sleep(1000);
  }
  throw new Error(`The events of ${run_id} cannot be read.`);
}

/** Server-sent events: blocks of `name: value`, an empty line between them. One without data keeps the line open. */
async function* readEvents(url, headers) {
  const response = await fetch(url, { headers, signal });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  let text = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (text + chunk).split('\n\n');
    text = blocks.pop();
    for (const block of blocks) {
      const event = Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s)));
      if (event.data) yield event;
    }
  }
}

async function answer(run_id, { task_id, gate_id, kind, reason }) {
  // Another kind, such as `escalation` when the model's provider refuses, is for whoever can mend it.
  if (kind !== 'context') throw new Error(`${task_id} waits for ${kind}: ${reason}`);
  const output = 'Practical and founder-friendly, for solo freelancers.';
  await call('POST', `/runs/${run_id}/tasks/${task_id}/complete`, { output, gate_id });
}

async function main() {
  if (!key) {
    const account = { name: 'Your Name', email: `you+${randomUUID()}@example.com` };
    ({ api_key: key } = await call('POST', '/auth/register', account));
    console.log('Registered a new account. Set ORCHFLOW_API_KEY to use yours.');
  }

  const { run_id } = await call('POST', '/runs', {
    task: 'Research 5 competing channels, define our positioning, and draft a 30-day content plan.',
    agents: [{ name: 'research' }, { name: 'analyst' }, { name: 'writer' }],
    ask_me_about: ['brand voice', 'target audience'],
  });
  console.log(`Started ${run_id}`);

  let written = '';
  for await (const event of follow(run_id)) {
    if (event.type !== 'delta') {
      process.stdout.write(`\n${event.type} ${event.task_id ?? ''}`);
    } else if (event.task_id === null) {
      // It begins anew after a call that broke off.
      if (event.offset === 0) written = '';
      process.stdout.write(event.offset === 0 ? `\n\n${event.text}` : event.text);
      written += event.text;
    }
    if (event.type === 'gate.opened') await answer(run_id, event);
  }

  const run = await call('GET', `/runs/${run_id}`);
  if (run.status !== 'completed') throw new Error(`The run is ${run.status}: ${run.error}`);
  // A text on its way may lose parts. This is the one that counts.
  if (written !== run.final_output) console.log(`\n\n${run.final_output}`);
  console.log(`\n\nCompleted, with ${run.usage.llm_calls} model calls for $${run.usage.cost_usd}.`);
}

await main().catch((error) => {
  console.error(error.message, error.cause?.code ?? '');
  process.exitCode = 1;
});
