-- Notes the outcome of an attempt, and goes on to the event that has waited for this one. `db/webhooks.ts` says what it
-- promises.
create or replace function finish_delivery(
  for_delivery text, outcome text, response text, retry_seconds double precision, endpoint_is_gone boolean
) returns void language plpgsql as $$
declare
  sent webhook_deliveries;
  failing timestamptz;
  goes_on boolean;
begin
  -- Run, subscription, delivery: all wait for each other in this order.
  select * into sent from webhook_deliveries where delivery_id = for_delivery;
  if sent.holds_up then
    perform from runs where run_id = sent.run_id for update;
  end if;
  update webhook_subscriptions set
    failing_since = case when outcome <> 'delivered' then coalesce(failing_since, now()) end
  where subscription_id = sent.subscription_id and (failing_since is not null or outcome <> 'delivered')
  returning failing_since into failing;

  update webhook_deliveries set
    status = outcome, last_response = response, failures = failures + (outcome <> 'delivered')::integer,
    delivered_at = case when outcome = 'delivered' then now() end,
    is_gone = endpoint_is_gone and subscription_id is null,
    -- Three attempts are waited for, five minutes or more.
    holds_up = holds_up and outcome = 'pending' and failures < 2,
    next_attempt_at = case when outcome = 'pending' then now() + make_interval(secs => retry_seconds) end
  -- What was delivered meanwhile, or shall not be sent any more, stays so.
  where delivery_id = for_delivery and (status = 'pending' or outcome = 'delivered')
  returning sent.holds_up and not holds_up into goes_on;

  if endpoint_is_gone then
    perform disable_subscription(sent.subscription_id, 'The endpoint answered 410 Gone.');
  elsif outcome = 'failed' and failing < now() - interval '3 days' then
    perform disable_subscription(sent.subscription_id, 'Nothing has reached the endpoint for three days.');
  end if;
  if goes_on then
    perform tell_next(sent.run_id, sent.subscription_id, sent.seq);
  end if;
end
$$;
