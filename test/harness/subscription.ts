import assert from 'node:assert/strict';
import type { FakeWebhook, WebhookRequest } from '../fakes/webhook.ts';
import { until, type User } from './client.ts';

/** What subscribers are sent. */

export type ToldEvent = {
  id: string;
  type: string;
  timestamp: string;
  run_id: string | null;
  kind: string | null;
  seq: number | null;
  task_id: string | null;
  gate_id: string | null;
  title: string | null;
  data: Record<string, unknown>;
};

/** Subscribes to everything, unless told otherwise. Returns the subscription with its secret. */
export async function subscribe(user: User, endpoint: FakeWebhook, more: object = {}) {
  const { status, body } = await user.post('/webhooks/subscriptions', { url: endpoint.url, events: ['*'], ...more });
  assert.equal(status, 201, JSON.stringify(body));
  return body as { subscription_id: string; secret: string; status: string };
}

/** The requests that are about this run and of a subscription, in the order in which they came. */
export function requestsOf({ requests }: FakeWebhook, run_id: string): WebhookRequest[] {
  return requests.filter(({ body }) => {
    const { id, run_id: of } = JSON.parse(body);
    return of === run_id && id !== undefined;
  });
}

/** What they say. */
export function toldOf(endpoint: FakeWebhook, run_id: string): ToldEvent[] {
  return requestsOf(endpoint, run_id).map(({ body }) => JSON.parse(body));
}

/** Resolves when an event of this type of the run has come. */
export function untilTold(endpoint: FakeWebhook, run_id: string, type: string, deadline_ms?: number): Promise<void> {
  const types = () => toldOf(endpoint, run_id).map((event) => event.type);
  return until(
    () => types().includes(type),
    () => `${type}, but: ${types().join(', ')}`,
    deadline_ms,
  );
}

/** All events of a run that has ended, as its stream has them, in the form in which subscribers are told. */
export async function eventsOf(user: User, url: string, run_id: string) {
  const headers = { 'x-api-key': user.api_key };
  const stream = await (await fetch(`${url}/api/v1/runs/${run_id}/events`, { headers })).text();
  const events = [...stream.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data!));
  return events
    .filter(({ seq }) => seq !== undefined)
    .map(({ run_id: _, seq, type, created_at: timestamp, ...data }) => ({ type, timestamp, run_id, seq, data }));
}
