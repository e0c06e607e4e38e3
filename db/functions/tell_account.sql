-- Tells the subscriptions of an account of what is no event of a run. The key says what happened: told twice, it is told once.
-- Nothing waits for its turn: what is told of different things comes in any order.
create or replace function tell_account(for_account text, told_type text, told_key text, told_data jsonb)
returns void language sql as $$
  insert into webhook_deliveries (delivery_id, account_id, subscription_id, event, url, body, next_attempt_at)
  select delivery, account_id, subscription_id, told_type, url, to_json(told)::text, now()
  from webhook_subscriptions,
  lateral concat_ws('_', 'msg', told_key, split_part(subscription_id, '_', 2)) as delivery,
  lateral (
    select delivery as id, told_type as type, iso(now()) as timestamp, told_data as data
  ) as told
  where account_id = for_account and status = 'active' and events && array['*', told_type]
  on conflict do nothing
$$;
