-- Counts what was spent of the operator's models, for the account of this run and the month (UTC), in a row of its own: one
-- row for all would be held by each call until it is on disk, and the calls of an account would go one after another.
-- `fold_managed` adds them up. The caller has written a row that refers to the run.
create or replace function spend_managed(for_run text, amount numeric) returns void language plpgsql as $$
begin
  insert into managed_spending (month, account_id, cost_usd)
  select date_trunc('month', now() at time zone 'UTC'),
    coalesce(
      -- By the caller's row it is held: it cannot be purged meanwhile, and so its account cannot be deleted.
      (select account_id from runs where run_id = for_run),
      -- Of one that was purged, the account is held. What was spent for one that is deleted has no name.
      (select account_id from accounts where account_id = owner_of(for_run) for key share),
      ''),
    amount;
end
$$;
