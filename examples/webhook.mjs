/**
 * A webhook receiver that verifies what it is sent, and answers the gates that it hears of. So that there is something to
 * hear, it starts a run, and it stops when that has ended.
 *
 * ORCHFLOW_URL is http://localhost:8000 unless given. Without ORCHFLOW_API_KEY a new account is registered; with it,
 * ORCHFLOW_WEBHOOK_SECRET, which came with the key, is needed too. It listens on this machine only, on RECEIVER_PORT or any
 * free port; RECEIVER_URL is where Orchflow reaches it when that is elsewhere, the address of your tunnel or proxy.
 */
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

const base = `${process.env.ORCHFLOW_URL ?? 'http://localhost:8000'}/api/v1`;
let key = process.env.ORCHFLOW_API_KEY;
let secret = process.env.ORCHFLOW_WEBHOOK_SECRET;
let started;

/**
 * An answer with Retry-After is worth another try, for a minute: a server that is busy or just starting, or our own first
 * try still at work. The key lets nothing be done twice.
 */
async function call(method, path, body, alsoFine) {
  const headers = { 'content-type': 'application/json', 'idempotency-key': randomUUID() };
  if (key) headers['x-api-key'] = key;
  const request = { method, headers, body: JSON.stringify(body) };
  for (const end = Date.now() + 60_000; ;) {
    const signal = AbortSignal.timeout(60_000);
    const response = await fetch(base + path, { ...request, signal });
    const pause = Number(response.headers.get('retry-after')) * 1000;
    if (response.ok || (response.status === alsoFine && !pause)) return response.json();
    if (!pause || Date.now() + pause > end) {
      throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    }
    await sleep(pause);
  }
}

/** As in https://www.standardwebhooks.com: with our secret, of these very bytes, and within the last five minutes. */
function isGenuine(headers, body) {
  const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': signatures = '' } = headers;
  const hmac = createHmac('sha256', Buffer.from(secret.replace('whsec_', ''), 'base64'));
  const expected = Buffer.from(`v1,${hmac.update(`${id}.${time}.${body}`).digest('base64')}`);
  const isFresh = Math.abs(Date.now() / 1000 - Number(time)) < 300;
  // Two of them for a day after the secret was rotated.
  const given = signatures.split(' ').map((signature) => Buffer.from(signature));
  return isFresh && given.some((one) => one.length === expected.length && timingSafeEqual(one, expected));
}

/** It may be told the same more than once: an event whose receipt got lost is sent again. */
async function hear({ run_id, event, waiting_tasks }) {
  console.log(`Heard of ${run_id}: ${event} ${waiting_tasks.join(', ')}`);
  if (event === 'waiting_human') {
    const { tasks } = await call('GET', `/runs/${run_id}/tasks`);
    for (const task of tasks.filter(({ id }) => waiting_tasks.includes(id))) await answer(run_id, task);
  }
  if (run_id === started && ['completed', 'failed', 'cancelled'].includes(event)) {
    const { status, error, final_output } = await call('GET', `/runs/${run_id}`);
    if (status !== 'completed') return stop(`The run is ${status}: ${error}`);
    console.log(`Completed. The result:\n\n${final_output}`);
    stop();
  }
}

async function answer(run_id, { id, description, gate: { gate_id, kind } }) {
  // Another kind, such as `escalation` when the model's provider refuses, is for whoever can mend it.
  if (kind !== 'context') return console.log(`${id} waits for ${kind}, which is left to people.`);
  const output = 'Practical and founder-friendly, for solo freelancers.';
  // 409: it is answered already, by an earlier delivery or by somebody else. The first answer stands.
  await call('POST', `/runs/${run_id}/tasks/${id}/complete`, { output, gate_id }, 409);
  console.log(`${id}: ${description}\nAnswered: ${output}`);
}

const server = createServer(async (request, response) => {
  try {
    const body = await text(request);
    const genuine = isGenuine(request.headers, body);
    if (genuine) await hear(JSON.parse(body));
    else console.log('Refused a request that is not signed with the secret.');
    response.writeHead(genuine ? 204 : 401, { connection: 'close' }).end();
  } catch (error) {
    // Whatever could not be done: what gets no 2xx is sent again, in 5 seconds, then in 5 minutes.
    console.error(error.message);
    response.writeHead(500, { connection: 'close' }).end();
  }
});

function stop(failure) {
  if (failure) console.error(failure);
  process.exitCode = failure ? 1 : 0;
  server.close();
}

async function main() {
  if (key && !secret) throw new Error('ORCHFLOW_API_KEY needs its ORCHFLOW_WEBHOOK_SECRET.');
  if (!key) {
    const account = { name: 'Your Name', email: `you+${randomUUID()}@example.com` };
    ({ api_key: key, webhook_secret: secret } = await call('POST', '/auth/register', account));
    console.log('Registered a new account. Set ORCHFLOW_API_KEY and ORCHFLOW_WEBHOOK_SECRET to use yours.');
  }
  await once(server.listen(process.env.RECEIVER_PORT ?? 0, '127.0.0.1'), 'listening');
  const webhook_url = process.env.RECEIVER_URL ?? `http://127.0.0.1:${server.address().port}/`;
  console.log(`Listens at ${webhook_url}`);
  const task = 'Research 5 competing channels, define our positioning, and draft a 30-day content plan.';
  ({ run_id: started } = await call('POST', '/runs', { task, ask_me_about: ['brand voice'], webhook_url }));
  console.log(`Started ${started}`);
  const late = `${started} has not ended within ten minutes. GET /webhooks/deliveries says what was sent.`;
  setTimeout(() => stop(late), 600_000).unref();
}

await main().catch((error) => stop(`${error.message} ${error.cause?.code ?? ''}`));
