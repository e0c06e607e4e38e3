-- Has a subscription told of the first event of a run after this one that it wants, if there is one, unless it is being told
-- of an earlier one: then that one's end comes here again (`finish_delivery`). The caller holds the lock on the run, so that
-- no event comes between the two.
create or replace function tell_next(for_run text, for_subscription text, after integer) returns void language plpgsql as $$
begin
  insert into webhook_deliveries (
    delivery_id, account_id, run_id, subscription_id, event, url, body, seq, holds_up, next_attempt_at)
  select told.id, account_id, for_run, subscription_id, told.type, url, to_json(told)::text, told.seq, true, now()
  from webhook_subscriptions
  cross join lateral (
    select seq, type, data, created_at from run_events
    where run_id = for_run and seq > after and (events @> '{*}' or type = any(events))
    order by seq limit 1
  ) as event
  cross join lateral (
    select concat_ws('_', 'msg', for_run, split_part(subscription_id, '_', 2), event.seq) as id, event.type,
      iso(event.created_at) as timestamp, for_run as run_id,
      (select kind from runs where run_id = for_run) as kind, event.seq,
      event.data ->> 'task_id' as task_id, event.data ->> 'gate_id' as gate_id,
      (select title from tasks where run_id = for_run and id = event.data ->> 'task_id') as title, event.data
  ) as told
  where subscription_id = for_subscription and status = 'active'
  on conflict do nothing;
end
$$;
