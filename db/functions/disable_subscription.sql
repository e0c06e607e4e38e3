-- Ends what a subscription is told: of what happens from now on, and what waits to be sent. Without a reason its account
-- wants it so.
create or replace function disable_subscription(for_subscription text, reason text) returns void language plpgsql as $$
begin
  update webhook_subscriptions set status = 'disabled', disabled_reason = reason
  where subscription_id = for_subscription and status = 'active';
  update webhook_deliveries set status = 'disabled', holds_up = false, next_attempt_at = null
  where subscription_id = for_subscription and status = 'pending';
end
$$;
