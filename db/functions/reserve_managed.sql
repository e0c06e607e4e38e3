-- Reserves what a call of an operator's model may cost at most, or says which limit leaves no room for it. Months are
-- those of UTC. `db/managed-budget.ts` says what it promises.
create or replace function reserve_managed(
  for_run text, for_call text, call_cost double precision, seconds double precision,
  run_limit double precision, account_limit double precision, server_limit double precision
) returns text language plpgsql as $$
declare
  for_account text;
  call numeric := usd(call_cost);
  reserved record;
  used record;
  refused text;
begin
  -- All of them together have one limit.
  perform lock_managed();
  select account_id into strict for_account from runs where run_id = for_run;
  -- Looked at before what is used: a call that is settled meanwhile counts twice, and never not at all.
  select
    coalesce(sum(usd(cost_usd)) filter (where run_id = for_run), 0) as run,
    coalesce(sum(usd(cost_usd)) filter (where account_id = for_account), 0) as account,
    coalesce(sum(usd(cost_usd)), 0) as server
  into reserved
  from managed_reservations
  where call_id <> for_call and expires_at > clock_timestamp();
  select
    (select coalesce(sum(usd(cost_usd)), 0) from llm_calls where run_id = for_run and provider_id is null)
      + (select coalesce(sum(usd(cost_usd)), 0) from broken_calls where run_id = for_run) as run,
    coalesce(sum(cost_usd) filter (where account_id = for_account), 0) as account,
    coalesce(sum(cost_usd), 0) as server,
    count(*) filter (where account_id = for_account) as rows
  into used
  from managed_spending
  where month = date_trunc('month', now() at time zone 'UTC');
  -- So that the rows that the next one adds up are few, however many calls there are.
  if used.rows > 50 then
    perform fold_managed(for_account);
  end if;
  refused := case
    when used.run + call > usd(run_limit) then 'run'
    when used.account + call > usd(account_limit) then 'account'
    when used.server + call > usd(server_limit) then 'server'
    when used.run + reserved.run + call > usd(run_limit)
      or used.account + reserved.account + call > usd(account_limit)
      or used.server + reserved.server + call > usd(server_limit) then 'held'
  end;
  if refused is null then
    insert into managed_reservations (call_id, run_id, account_id, cost_usd, expires_at)
    values (for_call, for_run, for_account, call_cost, clock_timestamp() + make_interval(secs => seconds))
    on conflict (call_id) do update set cost_usd = excluded.cost_usd, expires_at = excluded.expires_at;
  else
    delete from managed_reservations where call_id = for_call;
  end if;
  return coalesce(refused, 'reserved');
end
$$;
