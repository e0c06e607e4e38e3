-- Has a subscription told of the first event of a run after this one that it wants, if there is one, unless it is being told
-- of an earlier one: then that one's end comes here again (`finish_delivery`). An event that it wants by OrchStack's name of it
-- is told in OrchStack's words. The caller holds the lock on the run, so that no event comes between the two.
create or replace function tell_next(for_run text, for_subscription text, after integer) returns void language plpgsql as $$
declare
  kind_of_run text := (select kind from runs where run_id = for_run);
begin
  insert into webhook_deliveries (
    delivery_id, account_id, run_id, subscription_id, event, url, body, seq, holds_up, next_attempt_at)
  select delivery, account_id, for_run, subscription_id, told, url,
    case told when (event).type then event_body(delivery, for_run, event) else agent_event_body(delivery, for_run, event) end,
    (event).seq, true, now()
  from webhook_subscriptions
  cross join lateral (
    select run_events,
      case when events @> '{*}' or type = any(events) then type else agent_event(kind_of_run, type) end
    from run_events
    where run_id = for_run and seq > after
      and (events @> '{*}' or type = any(events) or agent_event(kind_of_run, type) = any(events))
    order by seq limit 1
  ) as next(event, told),
  lateral concat_ws('_', 'msg', for_run, split_part(subscription_id, '_', 2), (event).seq) as delivery
  where subscription_id = for_subscription and status = 'active'
  on conflict do nothing;
end
$$;
