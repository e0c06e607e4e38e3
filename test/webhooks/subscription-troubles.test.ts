import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { WebhookDelivery } from '../../db/schema.ts';
import { setSuspended } from '../../db/accounts.ts';
import { startFakeWebhook, type FakeWebhook } from '../fakes/webhook.ts';
import { until } from '../harness/orchflow.ts';
import { expectProblem } from '../harness/problem.ts';
import { useStory } from '../harness/story.ts';
import { eventsOf, requestsOf, subscribe, toldOf, untilTold } from '../harness/subscription.ts';

/** Endpoints of subscriptions that are down, slow or gone, and subscriptions that end meanwhile. */

const story = useStory();
let endpoint: FakeWebhook;
beforeEach(async () => {
  endpoint = await startFakeWebhook();
});
afterEach(() => endpoint.close());

const path = (subscription_id: string) => `/webhooks/subscriptions/${subscription_id}`;
const find = async (subscription_id: string) => (await story.user.get(path(subscription_id))).body;
const listDeliveries = async (query: string): Promise<any[]> =>
  (await story.user.get(`/webhooks/deliveries?limit=100&${query}`)).body.deliveries;

/** The deliveries to a subscription, in the order of their events. */
function rowsOf(subscription_id: string): Promise<WebhookDelivery[]> {
  return story.orchflow.db
    .selectFrom('webhook_deliveries')
    .selectAll()
    .where('subscription_id', '=', subscription_id)
    .orderBy('run_id')
    .orderBy('seq')
    .execute();
}

const untilRow = (subscription_id: string, holds: (row: WebhookDelivery) => boolean, seq = 1) =>
  until(
    async () => (await rowsOf(subscription_id)).some((row) => row.seq === seq && holds(row)),
    `the event ${seq} is so: ${String(holds)}`,
  );

/** What waits for its next attempt need not wait any longer. */
async function passTime(subscription_id: string): Promise<void> {
  await story.orchflow.db
    .updateTable('webhook_deliveries')
    .set({ next_attempt_at: sql`now()` })
    .where('subscription_id', '=', subscription_id)
    .where('next_attempt_at', 'is not', null)
    .execute();
}

/** That all events of a run have come, in their order. */
async function expectWhole(run_id: string): Promise<void> {
  await untilTold(endpoint, run_id, 'run.completed');
  const events = await eventsOf(story.user, story.orchflow.url, run_id);
  const seqs = toldOf(endpoint, run_id).map(({ seq }) => seq);
  expect([...new Set(seqs)]).toEqual(events.map(({ seq }) => seq));
}

describe('an endpoint', () => {
  test('that is down while a run goes its way gets all of it in order when it is up again', async () => {
    const { user } = story;
    const { subscription_id } = await subscribe(user, endpoint);
    await endpoint.down();
    const run = await story.start({}, { ask_me_about: ['the budget'] });
    await run.untilWaiting('T1');
    await run.complete('T1', { output: 'Ten euros.' });
    await run.until('completed');
    await untilRow(subscription_id, ({ failures }) => failures === 1);
    expect(await rowsOf(subscription_id)).toMatchObject([{ event: 'run.created', status: 'pending', holds_up: true }]);
    expect((await find(subscription_id)).failing_since).toEqual(expect.any(String));

    await endpoint.up();
    await expectWhole(run.run_id);
    expect(requestsOf(endpoint, run.run_id)).toHaveLength((await rowsOf(subscription_id)).length);
    await until(async () => (await find(subscription_id)).failing_since === null, 'it is well again');
  });

  test('that takes one event badly gets the others after three attempts, and that one when it can', async () => {
    const { user } = story;
    const { subscription_id } = await subscribe(user, endpoint);
    const isBad = (body: string) => body.includes('"type":"run.started"');
    endpoint.answer(({ body }) => ({ status: isBad(body) ? 500 : 204 }));
    const run = await story.start({});
    await run.until('completed');
    for (const failures of [1, 2, 3]) {
      await untilRow(subscription_id, (row) => row.failures === failures, 2);
      if (failures === 3) break;
      expect(toldOf(endpoint, run.run_id).at(-1)).toMatchObject({ type: 'run.started' });
      await passTime(subscription_id);
    }
    await untilTold(endpoint, run.run_id, 'run.completed');
    const bad = (await rowsOf(subscription_id)).find(({ seq }) => seq === 2)!;
    expect(bad).toMatchObject({
      status: 'pending',
      attempts: 3,
      holds_up: false,
      last_response: 'HTTP 500: thank you',
    });
    expect(Date.parse(bad.next_attempt_at!) - Date.parse(bad.last_attempt_at!)).toBeGreaterThan(29 * 60_000);

    endpoint.answer({ status: 204 });
    await passTime(subscription_id);
    await untilRow(subscription_id, ({ status }) => status === 'delivered', 2);
    const seqs = toldOf(endpoint, run.run_id).map(({ seq }) => seq);
    expect(seqs.slice(0, 4)).toEqual([1, 2, 2, 2]);
    expect(seqs.at(-1)).toBe(2);
    const bodies = requestsOf(endpoint, run.run_id).filter(({ body }) => isBad(body));
    expect(new Set(bodies.map(({ body }) => body)).size).toBe(1);
  });

  test('that never answers holds up neither the run nor who else is told', async () => {
    const { user } = story;
    const other = await startFakeWebhook();
    endpoint.answer({ hang: true });
    await subscribe(user, endpoint);
    await subscribe(user, other, { events: ['run.completed'] });
    const run = await story.start({}, { webhook_url: other.url });
    await run.until('completed');
    await untilTold(other, run.run_id, 'run.completed');
    await other.untilReceived('completed');
    expect(endpoint.requests.length).toBe(1);
    await other.close();
  });

  test('that answers 410 Gone ends its subscription; made active again it hears what happens then', async () => {
    const { user } = story;
    const { subscription_id } = await subscribe(user, endpoint);
    const waiting = await story.start({}, { ask_me_about: ['the budget'] });
    await untilTold(endpoint, waiting.run_id, 'gate.opened');
    endpoint.answer({ status: 500 });
    const pending = await story.start({});
    await untilTold(endpoint, pending.run_id, 'run.created');
    endpoint.answer({ status: 410 });
    await waiting.complete('T1', { output: 'Ten euros.' });
    await until(async () => (await find(subscription_id)).status === 'disabled', 'it is disabled');
    expect(await find(subscription_id)).toMatchObject({ disabled_reason: 'The endpoint answered 410 Gone.' });
    await Promise.all([waiting, pending].map((run) => run.until('completed')));
    const log = await listDeliveries(`subscription_id=${subscription_id}`);
    const statusOf = (run_id: string) => log.find((delivery) => delivery.run_id === run_id);
    expect(statusOf(waiting.run_id)).toMatchObject({ event: 'gate.answered', status: 'failed' });
    expect(statusOf(pending.run_id)).toMatchObject({ event: 'run.created', status: 'disabled' });

    endpoint.answer({ status: 204 });
    const active = await user.patch(path(subscription_id), { status: 'active' });
    expect(active.body).toMatchObject({ status: 'active', disabled_reason: null, failing_since: null });
    const before = endpoint.requests.length;
    const next = await story.start({});
    await next.until('completed');
    await expectWhole(next.run_id);
    expect(endpoint.requests.slice(before).every(({ body }) => body.includes(next.run_id))).toBe(true);
  });

  test('that nothing has reached for three days ends its subscription', async () => {
    const { user, orchflow } = story;
    const { subscription_id } = await subscribe(user, endpoint, { events: ['run.created'] });
    endpoint.answer({ status: 500 });
    await story.start({});
    await untilRow(subscription_id, ({ failures }) => failures === 1);
    const { db } = orchflow;
    await db.updateTable('webhook_deliveries').set({ failures: 9 }).execute();
    const failing_since = sql<string>`now() - interval '73 hours'`;
    await db.updateTable('webhook_subscriptions').set({ failing_since }).execute();
    await passTime(subscription_id);
    await until(async () => (await find(subscription_id)).status === 'disabled', 'it is disabled');
    expect((await find(subscription_id)).disabled_reason).toBe('Nothing has reached the endpoint for three days.');
    expect(await listDeliveries(`subscription_id=${subscription_id}`)).toMatchObject([{ status: 'failed' }]);
  });
});

describe('what waits', () => {
  test('is not sent any more when its subscription is disabled, or deleted; the log stays', async () => {
    const { user } = story;
    for (const end of ['disabled', 'deleted']) {
      const { subscription_id } = await subscribe(user, endpoint);
      endpoint.answer({ status: 500 });
      const run = await story.start({});
      await untilRow(subscription_id, ({ failures }) => failures === 1);
      endpoint.answer({ status: 204 });
      const before = endpoint.requests.length;
      if (end === 'disabled') await user.patch(path(subscription_id), { status: 'disabled' });
      else await user.delete(path(subscription_id));
      const [delivery, ...more] = await listDeliveries(`subscription_id=${subscription_id}`);
      expect([delivery.status, more]).toEqual(['disabled', []]);
      await run.until('completed');
      expect(await listDeliveries(`subscription_id=${subscription_id}`)).toHaveLength(1);
      expect(endpoint.requests).toHaveLength(before);

      const again = await user.post(`/webhooks/deliveries/${delivery.delivery_id}/redeliver`, {});
      if (end === 'deleted') {
        expectProblem(again, { status: 404, code: 'NOT_FOUND', detail: 'Subscription not found.' });
      } else {
        // A person knows better.
        await until(() => endpoint.requests.length === before + 1, 'it is sent again');
        await untilRow(subscription_id, ({ status }) => status === 'delivered');
      }
    }
  });

  test('goes to the new URL when that is changed', async () => {
    const { user } = story;
    const old = await startFakeWebhook();
    await old.down();
    const { subscription_id } = await subscribe(user, endpoint, { url: old.url });
    const run = await story.start({});
    await run.until('completed');
    await untilRow(subscription_id, ({ failures }) => failures === 1);
    await user.patch(path(subscription_id), { url: endpoint.url });
    await passTime(subscription_id);
    await expectWhole(run.run_id);
  });

  test('waits while its account is suspended', async () => {
    const { user, orchflow } = story;
    const { subscription_id } = await subscribe(user, endpoint, { events: ['run.completed'] });
    const run = await story.start({}, { ask_me_about: ['the budget'] });
    await run.untilWaiting('T1');
    const { account_id } = await orchflow.db
      .selectFrom('webhook_subscriptions')
      .select('account_id')
      .where('subscription_id', '=', subscription_id)
      .executeTakeFirstOrThrow();
    await user.post(`${path(subscription_id)}/test`, {});
    await until(() => endpoint.requests.length === 1, 'the test comes');
    await setSuspended(orchflow.db, account_id, true);
    const row = { delivery_id: 'msg_held', account_id, subscription_id, url: endpoint.url, event: 'test', body: '{}' };
    const next_attempt_at = sql<string>`now()`;
    await orchflow.db
      .insertInto('webhook_deliveries')
      .values({ ...row, next_attempt_at })
      .execute();
    // Of another account, something is sent meanwhile.
    const [other, theirs] = await Promise.all([orchflow.register(), startFakeWebhook()]);
    const { subscription_id: of } = await subscribe(other, theirs);
    await other.post(`${path(of)}/test`, {});
    await until(() => theirs.requests.length === 1, 'another account is served');
    expect(endpoint.requests).toHaveLength(1);
    await setSuspended(orchflow.db, account_id, false);
    await until(() => endpoint.requests.length === 2, 'it is sent when the account goes on');
    await run.cancel();
    await theirs.close();
  });
});
