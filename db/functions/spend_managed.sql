-- Counts what was spent of the operator's models, for the account of this run and the month (UTC), in a row of its own: one
-- row for all would be held by each call until it is on disk, and the calls of an account would go one after another.
-- `fold_managed` adds them up.
create or replace function spend_managed(for_run text, amount numeric) returns void language plpgsql as $$
begin
  insert into managed_spending (month, account_id, cost_usd)
  select date_trunc('month', now() at time zone 'UTC'),
    -- Held, so that it cannot be deleted meanwhile. What was spent for one that is deleted has no name.
    coalesce((select account_id from accounts where account_id = owner_of(for_run) for key share), ''),
    amount;
end
$$;
