import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startFakeModel, type FakeModel } from '../fakes/model.ts';
import { startFakeWebhook, type FakeWebhook, type WebhookRequest } from '../fakes/webhook.ts';
import { startOrchflow, until, type Orchflow, type User } from '../harness/orchflow.ts';
import { scriptRun } from '../harness/script.ts';

let orchflow: Orchflow;
let user: User;
let model: FakeModel;
let provider_id: string;
let endpoint: FakeWebhook;

beforeAll(async () => {
  orchflow = await startOrchflow();
});
afterAll(() => orchflow.stop());

beforeEach(async () => {
  [user, model, endpoint] = await Promise.all([orchflow.register(), startFakeModel(), startFakeWebhook()]);
  provider_id = await user.addProvider(model);
});
afterEach(async () => {
  await Promise.all([model.close(), endpoint.close()]);
  model.assertNothingUnscripted();
});

/** A run that calls our endpoint. */
function startRun(more: object = {}) {
  return user.startRun({ task: 'Compare three note apps.', provider_id, webhook_url: endpoint.url, ...more });
}

/** Throws when the signature is not that of this secret, as a customer would check it. */
function verify(request: WebhookRequest, secret: string) {
  return new Webhook(secret).verify(request.body, request.headers as Record<string, string>);
}

function deliveriesOf(run_id: string) {
  return orchflow.db
    .selectFrom('webhook_deliveries')
    .selectAll()
    .where('run_id', '=', run_id)
    .orderBy('created_at')
    .execute();
}

/** How a delivery ended. */
async function deliveryEnd(run_id: string, sequence = 1): Promise<string> {
  const find = async () =>
    (await deliveriesOf(run_id)).find(({ delivery_id }) => delivery_id === `msg_${run_id}_${sequence}`);
  // The run starts the delivery a moment after its own end can be read.
  await until(async () => ((await find())?.status ?? 'pending') !== 'pending', 'the delivery ends');
  return (await find())!.status;
}

describe('what is sent', () => {
  test('waiting_human and completed carry exactly run_id, event and waiting_tasks', async () => {
    scriptRun(model);
    const run = await startRun({ ask_me_about: ['the budget'] });

    const waiting = await endpoint.untilReceived('waiting_human');
    expect(waiting.payload).toEqual({ run_id: run.run_id, event: 'waiting_human', waiting_tasks: ['T1'] });
    expect(waiting).toMatchObject({ method: 'POST', path: '/hook', headers: { 'content-type': 'application/json' } });
    await run.complete('T1', { output: 'Ten euros.' });

    const completed = await endpoint.untilReceived('completed');
    expect(completed.payload).toEqual({ run_id: run.run_id, event: 'completed', waiting_tasks: [] });
    expect(endpoint.requests).toHaveLength(2);
  });

  test('waiting_human names every task that waits, also those that waited before', async () => {
    scriptRun(model, { plan: ['Legal approval', 'Founder review', 'Write the text'] });
    const run = await startRun({ human_gates: ['legal approval', 'founder review'], require_approval: true });

    await until(
      () => endpoint.requests.some(({ payload }) => payload.waiting_tasks.length === 3),
      'a webhook with all three tasks',
    );
    expect(endpoint.requests.at(-1)!.payload).toEqual({
      run_id: run.run_id,
      event: 'waiting_human',
      waiting_tasks: ['T1', 'T2', 'T3'],
    });
    await run.cancel();
  });

  test('failed is sent when the budget does not even cover the plan', async () => {
    const run = await startRun({ max_tokens: 1, on_budget: 'fail' });
    expect((await endpoint.untilReceived('failed')).payload).toEqual({
      run_id: run.run_id,
      event: 'failed',
      waiting_tasks: [],
    });
    expect((await run.get()).status).toBe('failed');
  });

  test('cancelled is sent once when the run is cancelled', async () => {
    scriptRun(model);
    const run = await startRun({ ask_me_about: ['the budget'] });
    await endpoint.untilReceived('waiting_human');
    await run.cancel();
    const cancelled = await endpoint.untilReceived('cancelled');
    expect(cancelled.payload).toEqual({ run_id: run.run_id, event: 'cancelled', waiting_tasks: [] });
    expect(await deliveryEnd(run.run_id, 2)).toBe('delivered');
    expect(endpoint.requests.map(({ payload }) => payload.event)).toEqual(['waiting_human', 'cancelled']);
  });

  test("the signature verifies with the account's webhook secret and with no other", async () => {
    scriptRun(model);
    const stranger = await orchflow.register();
    await startRun();
    const request = await endpoint.untilReceived('completed');
    expect(user.webhook_secret).toMatch(/^whsec_/);
    expect(verify(request, user.webhook_secret)).toEqual(request.payload);
    expect(() => verify(request, stranger.webhook_secret)).toThrow('No matching signature');
    expect(() => verify({ ...request, body: `${request.body} ` }, user.webhook_secret)).toThrow(
      'No matching signature',
    );
  });

  test('each event has an id of its own', async () => {
    scriptRun(model);
    const run = await startRun({ ask_me_about: ['the budget'] });
    const waiting = await endpoint.untilReceived('waiting_human');
    await run.complete('T1', { output: 'Ten euros.' });
    const completed = await endpoint.untilReceived('completed');
    expect(completed.headers['webhook-id']).not.toBe(waiting.headers['webhook-id']);
  });
});

describe('endpoints with trouble', () => {
  test('down, then up: the event arrives all the same, once', async () => {
    scriptRun(model);
    await endpoint.down();
    const run = await startRun();
    await run.until('completed');
    await until(
      async () =>
        (await deliveriesOf(run.run_id))[0]?.last_response?.startsWith('no answer from the endpoint') === true,
      'a failed attempt',
    );
    const [noted] = await deliveriesOf(run.run_id);

    await endpoint.up();
    const received = await endpoint.untilReceived('completed');
    expect(received.headers['webhook-id']).toBe(noted!.delivery_id);
    expect(received.body).toBe(noted!.body);
    verify(received, user.webhook_secret);
    expect(await deliveryEnd(run.run_id)).toBe('delivered');
    expect(endpoint.requests).toHaveLength(1);
    expect(await deliveriesOf(run.run_id)).toMatchObject([
      { status: 'delivered', attempts: 2, last_response: 'HTTP 204' },
    ]);
  });

  test('a redirect is not followed; the event is sent again, with its first id and body and a new time', async () => {
    scriptRun(model);
    const elsewhere = await startFakeWebhook();
    endpoint.answer({ status: 307, headers: { location: elsewhere.url } });
    const run = await startRun();
    await endpoint.untilReceived('completed');
    endpoint.answer({ status: 200 });
    expect(await deliveryEnd(run.run_id)).toBe('delivered');

    const [first, second] = endpoint.requests as [WebhookRequest, WebhookRequest];
    expect(second.headers['webhook-id']).toBe(first.headers['webhook-id']);
    expect(second.body).toBe(first.body);
    expect(Number(second.headers['webhook-timestamp'])).toBeGreaterThan(Number(first.headers['webhook-timestamp']));
    verify(second, user.webhook_secret);
    expect(elsewhere.requests).toEqual([]);
    await elsewhere.close();
  });

  test('410 Gone ends the attempts of this event', async () => {
    scriptRun(model);
    endpoint.answer({ status: 410 });
    const run = await startRun();
    await run.until('completed');
    expect(await deliveryEnd(run.run_id)).toBe('failed');
    expect(endpoint.requests).toHaveLength(1);
    expect(await deliveriesOf(run.run_id)).toMatchObject([
      { status: 'failed', attempts: 1, last_response: 'HTTP 410: thank you' },
    ]);
  });

  test('an endpoint that asks for more time than the schedule gives it has it, up to a day', async () => {
    scriptRun(model);
    const waits = [
      { after: () => '3600', expected: 3_600 },
      { after: () => '99999999', expected: 86_400 },
      { after: () => new Date(Date.now() + 7_200_000).toUTCString(), expected: 7_200 },
      { after: () => '1', expected: 5 },
    ];
    let wait = async () => 0;
    for (const { after, expected } of waits) {
      const status = expected > 5 ? 429 : 503;
      endpoint.answer({ status, headers: { 'retry-after': after() } });
      const run = await startRun();
      await run.until('completed');
      wait = async () => {
        const [delivery] = await deliveriesOf(run.run_id);
        if (!delivery?.last_response) return 0;
        return Math.round((Date.parse(delivery.next_attempt_at!) - Date.parse(delivery.last_attempt_at!)) / 1_000);
      };
      let asked = 0;
      await until(async () => (asked = await wait()) > 0, 'it is put off');
      expect(asked, after()).toBeGreaterThan(expected - 60);
      expect(asked, after()).toBeLessThanOrEqual(expected);
      const last_response = `HTTP ${status}: thank you`;
      expect(await deliveriesOf(run.run_id)).toMatchObject([{ status: 'pending', attempts: 1, last_response }]);
    }
    await until(async () => (await wait()) === 300, 'the second step of the schedule');
  });

  test('an endpoint that hangs, with many events before it, keeps those of others from nothing; all arrive in the end', async () => {
    scriptRun(model);
    endpoint.answer({ hang: true });
    const runs = await Promise.all(Array.from({ length: 14 }, () => startRun({ ask_me_about: ['the budget'] })));
    await Promise.all(runs.map((run) => run.untilWaiting('T1')));
    await Promise.all(runs.map((run) => run.cancel()));
    const places = 20;
    await until(() => endpoint.requests.length === places, 'all places are taken');

    const [other, theirs] = await Promise.all([orchflow.register(), startFakeWebhook()]);
    const run = { task: 'Compare two.', provider_id: await other.addProvider(model), webhook_url: theirs.url };
    await (await other.startRun(run)).until('completed');
    await theirs.untilReceived('completed');
    expect(endpoint.requests).toHaveLength(places);

    await endpoint.down();
    endpoint.answer({ status: 204 });
    await endpoint.up();
    const delivered = async () => {
      const { deliveries } = (await user.get('/webhooks/deliveries?status=delivered&limit=100')).body;
      return deliveries.length === 2 * runs.length;
    };
    await until(delivered, 'all is delivered');
    expect(endpoint.maxOpen()).toBe(places);
    expect(endpoint.requests).toHaveLength(places + 2 * runs.length);
    await theirs.close();
  });

  test('an endpoint that never answers does not hold the run up', async () => {
    scriptRun(model);
    endpoint.answer({ hang: true });
    const run = await startRun({ ask_me_about: ['the budget'] });
    await endpoint.untilReceived('waiting_human');
    await run.complete('T1', { output: 'Ten euros.' });
    await run.until('completed');
    await endpoint.untilReceived('completed');
    expect(await deliveriesOf(run.run_id)).toMatchObject([
      { event: 'waiting_human', status: 'pending' },
      { event: 'completed', status: 'pending' },
    ]);
  });
});

test('a private address is not called unless the operator allows it, and the run goes on', async () => {
  // The model is the built-in one: the fake is at a private address too.
  const strict = await startOrchflow({ environment: { ORCHFLOW_ALLOWED_PRIVATE_CIDRS: '' } });
  // The operator allowed it when the run was taken.
  const { DATABASE_URL = '', ENCRYPTION_KEY = '' } = strict.env;
  const before = await startOrchflow({ worker: false, environment: { DATABASE_URL, ENCRYPTION_KEY } });
  try {
    const asker = await before.register();
    const run = await asker.startRun({ task: 'Compare three note apps.', webhook_url: endpoint.url });
    await run.until('completed');
    const delivery = strict.db.selectFrom('webhook_deliveries').selectAll().where('run_id', '=', run.run_id);
    await until(async () => (await delivery.executeTakeFirst())?.status === 'failed', 'the delivery fails');
    expect((await delivery.executeTakeFirst())?.last_response).toContain('127.0.0.1 is not a public address');
    expect(endpoint.requests).toEqual([]);
  } finally {
    await before.stop();
    await strict.stop();
  }
});
