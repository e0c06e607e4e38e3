-- Adds up the rows of managed_spending, of this account or, for null, of all: to one for each month and account.
create or replace function fold_managed(for_account text) returns void language plpgsql as $$
begin
  -- Two at once, each with rows that the other wants, would wait for each other.
  perform lock_managed();
  with gone as (
    delete from managed_spending as spent using (
      select month, account_id from managed_spending
      where for_account is null or account_id = for_account
      group by month, account_id having count(*) > 1) as several
    where spent.month = several.month and spent.account_id = several.account_id
    returning spent.*
  )
  insert into managed_spending (month, account_id, cost_usd)
  select month, account_id, sum(cost_usd) from gone group by month, account_id;
end
$$;
