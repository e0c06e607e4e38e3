-- Takes the delivery of an account that is due longest, for half a minute, and counts the attempt. What shall not be sent any
-- more is noted as `disabled` on the way. `db/webhooks.ts` says what it promises.
create or replace function take_delivery(for_account text) returns table (
  delivery_id text, account_id text, subscription_id text, event text, url text, body text, failures integer,
  last_attempt_at timestamptz, secrets_encrypted text[]
) language plpgsql as $$
#variable_conflict use_column
declare
  taken record;
begin
  loop
    select
      due.delivery_id, due.status, due.redeliveries > 0 as by_hand, due.subscription_id, subscriptions.status as subscribed,
      case when due.subscription_id is null then coalesce(due.url, runs.webhook_url) else subscriptions.url end as url,
      case when due.subscription_id is null then accounts.webhook_secret_encrypted else subscriptions.secret_encrypted end
        as secret_encrypted,
      due.subscription_id is null and exists (
        select from webhook_deliveries as other
        where other.is_gone and other.subscription_id is null and other.url is not distinct from due.url
          and (other.run_id = due.run_id
            or due.run_id is null and other.run_id is null and other.account_id = due.account_id)) as is_gone
    into taken
    from webhook_deliveries as due
    join accounts on accounts.account_id = due.account_id
    left join runs on runs.run_id = due.run_id
    left join webhook_subscriptions as subscriptions on subscriptions.subscription_id = due.subscription_id
    where due.account_id = for_account and due.next_attempt_at <= now() and accounts.suspended_at is null
    order by due.next_attempt_at
    limit 1
    for update of due skip locked;
    if not found then
      return;
    end if;
    exit when taken.status = 'pending' and taken.url is not null
      -- A person who sends it again knows better.
      and (taken.by_hand or not taken.is_gone and coalesce(taken.subscribed, 'active') = 'active');
    update webhook_deliveries set
      status = case when status = 'pending' then 'disabled' else status end, holds_up = false, next_attempt_at = null
    where delivery_id = taken.delivery_id;
  end loop;

  return query
    update webhook_deliveries as sent set
      attempts = attempts + 1, last_attempt_at = now(), next_attempt_at = now() + interval '30 seconds'
    where sent.delivery_id = taken.delivery_id
    returning
      sent.delivery_id, sent.account_id, sent.subscription_id, sent.event, taken.url, sent.body, sent.failures,
      sent.last_attempt_at,
      taken.secret_encrypted || case when sent.subscription_id is null
        then array(
          select secret_encrypted from retired_webhook_secrets as retired
          where retired.account_id = for_account and expires_at > now() order by expires_at desc limit 4)
        else array(
          select secret_encrypted from retired_subscription_secrets as retired
          where retired.subscription_id = sent.subscription_id and expires_at > now() order by expires_at desc limit 4)
        end;
end
$$;
