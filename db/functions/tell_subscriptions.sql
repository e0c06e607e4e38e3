-- Tells the subscriptions of an account of the events that a statement has written: the trigger of `run_events`. Those that
-- are being told of an earlier one hear of them after it. An account without subscriptions pays for the first look, with
-- every statement that writes events.
create or replace function tell_subscriptions() returns trigger language plpgsql as $$
begin
  if exists (
    select from fresh
    join runs on runs.run_id = fresh.run_id
    join webhook_subscriptions as subscriptions on subscriptions.account_id = runs.account_id
  ) then
    perform tell_next(told.run_id, subscriptions.subscription_id, told.seq - 1)
    from (select run_id, min(seq) as seq from fresh group by run_id) as told
    join runs on runs.run_id = told.run_id
    join webhook_subscriptions as subscriptions on subscriptions.account_id = runs.account_id
    where subscriptions.status = 'active'
      and not exists (
        select from webhook_deliveries
        where subscription_id = subscriptions.subscription_id and run_id = told.run_id and holds_up);
  end if;
  return null;
end
$$;
