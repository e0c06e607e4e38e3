-- Counts what was spent of the operator's models, for the account of this run and the month (UTC).
create or replace function spend_managed(for_run text, amount numeric) returns void language plpgsql as $$
begin
  insert into managed_spending (month, account_id, cost_usd)
  select date_trunc('month', now() at time zone 'UTC'),
    -- Held, so that it cannot be deleted meanwhile. What was spent for one that is deleted has no name.
    coalesce((select account_id from accounts where account_id = owner_of(for_run) for key share), ''),
    amount
  on conflict (month, account_id) do update set cost_usd = managed_spending.cost_usd + excluded.cost_usd;
end
$$;
