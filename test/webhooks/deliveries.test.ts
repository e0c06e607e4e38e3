import { Webhook } from 'standardwebhooks';
import { getAccountOf } from '../../db/runs.ts';
import { newId } from '../../src/ids.ts';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startFakeWebhook, type FakeWebhook, type WebhookRequest } from '../fakes/webhook.ts';
import { until, type User } from '../harness/orchflow.ts';
import { useStory } from '../harness/story.ts';

/** What an account can see of its webhooks, and do about them. */

const story = useStory();
let endpoint: FakeWebhook;
beforeEach(async () => {
  endpoint = await startFakeWebhook();
});
afterEach(() => endpoint.close());

/** A run that calls our endpoint. */
const startRun = (more: object = {}) => story.start({}, { webhook_url: endpoint.url, ...more });
const list = async (query = '') => (await story.user.get(`/webhooks/deliveries?${query}`)).body;

/** Resolves when the newest delivery has this status. */
const untilNewest = (status: string) =>
  until(async () => (await list()).deliveries[0]?.status === status, `the newest delivery is ${status}`);

function verify(request: WebhookRequest, secret: string) {
  return new Webhook(secret).verify(request.body, request.headers as Record<string, string>);
}

describe('the log of deliveries', () => {
  test('after 410 Gone the later events of the run are not sent; the log shows them as disabled', async () => {
    endpoint.answer({ status: 410 });
    const run = await startRun({ ask_me_about: ['the budget'] });
    await run.untilWaiting('T1');
    await untilNewest('failed');
    endpoint.answer({ status: 204 });
    await run.complete('T1', { output: 'Ten euros.' });
    await untilNewest('disabled');

    const log = await list(`run_id=${run.run_id}`);
    expect(log).toMatchObject({
      deliveries: [
        { event: 'completed', status: 'disabled', attempts: 0, last_response: null, delivered_at: null },
        { event: 'waiting_human', status: 'failed', attempts: 1, last_response: 'HTTP 410: thank you' },
      ],
      has_more: false,
      next_cursor: null,
    });
    expect(endpoint.requests).toHaveLength(1);

    const again = await story.user.post(`/webhooks/deliveries/${log.deliveries[0].delivery_id}/redeliver`, {});
    expect(again).toMatchObject({ status: 200, body: { event: 'completed', status: 'pending' } });
    expect((await endpoint.untilReceived('completed')).payload.run_id).toBe(run.run_id);
  });

  test('is paged, newest first, and filtered by run and status', async () => {
    const runs = [await startRun(), await startRun({ ask_me_about: ['the budget'] })];
    await endpoint.untilReceived('waiting_human');
    await runs[0]!.until('completed');
    await until(async () => (await list('status=delivered')).deliveries.length === 2, 'both are delivered');

    const { deliveries } = await list('');
    expect(deliveries).toEqual([deliveries[0], deliveries[1]]);
    expect(deliveries[0].created_at >= deliveries[1].created_at).toBe(true);
    const first = await list('limit=1');
    expect(first).toMatchObject({ deliveries: [deliveries[0]], has_more: true });
    const second = await list(`limit=1&cursor=${first.next_cursor}`);
    expect(second).toEqual({ deliveries: [deliveries[1]], has_more: false, next_cursor: null });
    const ofRun = await list(`run_id=${runs[1]!.run_id}`);
    expect(ofRun.deliveries).toMatchObject([
      { run_id: runs[1]!.run_id, event: 'waiting_human', status: 'delivered', attempts: 1, last_response: 'HTTP 204' },
    ]);
    expect((await list('status=failed')).deliveries).toEqual([]);
    expect((await story.user.get('/webhooks/deliveries?status=lost')).status).toBe(422);
    await runs[1]!.cancel();
  });

  test('has the beginning of what the endpoint answered', async () => {
    endpoint.answer({ status: 410, body: `Sorry,\n\u0000 nobody lives here. ${'x'.repeat(100_000)}` });
    await startRun();
    await untilNewest('failed');
    const { deliveries } = await list();
    expect(deliveries[0].last_response).toMatch(/^HTTP 410: Sorry, nobody lives here\. x+…$/);
    expect(deliveries[0].last_response.length).toBeLessThan(400);
  });

  test('sends an event again on demand: the same id and body, a new time', async () => {
    await startRun();
    const first = await endpoint.untilReceived('completed');
    await untilNewest('delivered');
    const id = String(first.headers['webhook-id']);
    const redeliver = (who: User) => who.post(`/webhooks/deliveries/${id}/redeliver`, {});
    const delivered = async () => (await list()).deliveries[0];
    for (const count of [2, 3]) {
      expect((await redeliver(story.user)).status).toBe(200);
      await until(async () => (await delivered()).attempts === count, `attempt ${count}`);
      await until(async () => (await delivered()).status === 'delivered', 'delivered again');
    }

    expect((await redeliver(await story.orchflow.register())).status).toBe(404);
    expect(endpoint.requests).toHaveLength(3);
    const second = endpoint.requests[1]!;
    expect(second.headers['webhook-id']).toBe(first.headers['webhook-id']);
    expect(second.body).toBe(first.body);
    verify(second, story.user.webhook_secret);
  });
});

test('a new secret signs at once, and the ones before for a day beside it', async () => {
  const rotate = () => story.user.post('/webhooks/secret/rotate', {});
  const [second, third] = [await rotate(), await rotate()];
  expect(second.status).toBe(200);
  expect(second.body.webhook_secret).toMatch(/^whsec_[\w+/]{43}=$/);
  const hours = (Date.parse(second.body.previous_signs_until) - Date.now()) / 3_600_000;
  expect(hours).toBeGreaterThan(23.9);
  expect(hours).toBeLessThan(24.1);

  await startRun({ ask_me_about: ['the budget'] });
  const request = await endpoint.untilReceived('waiting_human');
  const secrets = [story.user.webhook_secret, second.body.webhook_secret, third.body.webhook_secret];
  for (const secret of secrets) expect(verify(request, secret)).toEqual(request.payload);

  await story.orchflow.db
    .updateTable('retired_webhook_secrets')
    .set({ expires_at: new Date(0).toISOString() })
    .execute();
  await startRun();
  const later = await endpoint.untilReceived('completed');
  verify(later, third.body.webhook_secret);
  for (const secret of secrets.slice(0, 2)) expect(() => verify(later, secret)).toThrow('No matching signature');
});

test('an event of an account, and of no run, is delivered, logged and sent again like any other', async () => {
  const { db } = story.orchflow;
  const { account_id } = await db
    .selectFrom('accounts')
    .select('account_id')
    .where('email', '=', story.user.email)
    .executeTakeFirstOrThrow();
  const event = { delivery_id: newId('webhook_delivery'), event: 'account.noted' };
  const delivery = { ...event, account_id, url: endpoint.url, body: JSON.stringify({ event: event.event }) };
  endpoint.answer({ status: 410 });
  await db
    .insertInto('webhook_deliveries')
    .values({ ...delivery, next_attempt_at: new Date().toISOString() })
    .execute();
  await untilNewest('failed');
  expect(verify(endpoint.requests[0]!, story.user.webhook_secret)).toEqual({ event: 'account.noted' });

  endpoint.answer({ status: 204 });
  const again = await story.user.post(`/webhooks/deliveries/${event.delivery_id}/redeliver`, {});
  expect(again).toMatchObject({ status: 200, body: { ...event, run_id: null, status: 'pending' } });
  await untilNewest('delivered');
  expect(endpoint.requests.map(({ body, headers }) => [body, headers['webhook-id']])).toEqual([
    [delivery.body, event.delivery_id],
    [delivery.body, event.delivery_id],
  ]);

  const other = await story.orchflow.register();
  expect((await other.post(`/webhooks/deliveries/${event.delivery_id}/redeliver`, {})).status).toBe(404);
});

test('what a process of 0.1.0 has begun beside this one is sent', async () => {
  const { db, client, env } = story.orchflow;
  const run = await startRun({ ask_me_about: ['the budget'] });
  await endpoint.untilReceived('waiting_human');
  const { run_id } = run;
  const account_id = (await getAccountOf(db, run_id))!;

  // Sent again by a person, failed behind our back, and under way in Temporal.
  const rows = ['7', '8'].map((n) => ({
    delivery_id: `msg_${run_id}_${n}`,
    event: `of ${n}`,
    body: `{"event":"of ${n}"}`,
  }));
  await db
    .insertInto('webhook_deliveries')
    .values(rows.map((row) => ({ ...row, run_id, account_id, attempts: 1 })))
    .execute();
  const messages = [
    { kind: 'redeliver', delivery_id: `msg_${run_id}_7`, event: 'of 7', redelivery: 1 },
    { kind: 'webhook', event: 'failed' },
  ];
  await db
    .insertInto('outbox')
    .values(messages.map((message) => ({ run_id, message: JSON.stringify(message) })))
    .execute();
  const args = [{ run_id, sequence: 8, event: 'of 8', waiting_tasks: ['T9'] }];
  await client.workflow.start('webhookDelivery', {
    workflowId: `${run_id}/webhook/8`,
    taskQueue: env.TEMPORAL_TASK_QUEUE!,
    args,
  });
  for (const event of ['of 7', 'of 8', 'failed']) {
    expect((await endpoint.untilReceived(event)).headers['webhook-id']).toMatch(new RegExp(`^msg_${run_id}_`));
  }
  expect((await endpoint.untilReceived('of 8')).body).toBe('{"event":"of 8"}');
  await run.cancel();
});
