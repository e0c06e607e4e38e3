import { getAccountOf } from '../../db/runs.ts';
import type { Db } from '../../db/index.ts';
import type { Call } from './contract.ts';

/** Calls every operation on webhooks, with each of its outcomes. The run is one of the account that calls. */
export async function callWebhooks(call: Call, db: Db, run_id: string): Promise<void> {
  await call('POST', '/api/v1/webhooks/secret/rotate');
  const account_id = (await getAccountOf(db, run_id))!;
  const delivery = { run_id, account_id, event: 'completed', body: '{}', status: 'failed' } as const;
  const deliveries = [1, 2].map((n) => ({ ...delivery, delivery_id: `msg_${run_id}_${n}` }));
  await db.insertInto('webhook_deliveries').values(deliveries).execute();
  await call('GET', '/api/v1/webhooks/deliveries?limit=1');
  const redeliver = '/api/v1/webhooks/deliveries/{delivery_id}/redeliver';
  await call('POST', redeliver, { delivery_id: `msg_${run_id}_1` });
  await call('POST', redeliver, { delivery_id: 'unknown' });

  const all = '/api/v1/webhooks/subscriptions';
  const one = `${all}/{subscription_id}`;
  const wanted = { url: 'https://example.com/hook', events: ['run.completed'], description: 'Mine' };
  const { subscription_id } = (await call('POST', all, {}, wanted)).body;
  await call('POST', all, {}, {});
  await call('GET', all);
  const operations = [
    ['GET', one],
    ['PATCH', one, { status: 'disabled' }],
    ['POST', `${one}/rotate-secret`],
    ['POST', `${one}/test`],
    ['DELETE', one],
  ] as const;
  for (const id of [subscription_id, 'unknown']) {
    for (const [method, path, body] of operations) await call(method, path, { subscription_id: id }, body);
  }
}
