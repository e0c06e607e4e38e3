-- Reserves what a model call may use at most, or says why not. `db/budget.ts` says what it promises.
create or replace function reserve_budget(
  for_run text, for_call text, call_tokens bigint, call_cost double precision, seconds double precision
) returns jsonb language plpgsql as $$
declare
  budget record;
  outcome text;
begin
  perform from runs where run_id = for_run for update;
  -- One statement: a call that is settled meanwhile counts once, as reserved or as used.
  select * into strict budget from budget_of(for_run), lateral (
    select coalesce(sum(tokens), 0) as reserved_tokens, coalesce(sum(usd(cost_usd)), 0) as reserved_cost_usd
    from budget_reservations
    where run_id = for_run and call_id <> for_call and expires_at > clock_timestamp()
  ) as reserved;
  outcome := case
    when budget.used_tokens + call_tokens > budget.max_tokens
      or usd(budget.used_cost_usd) + usd(call_cost) > usd(budget.max_cost_usd) then 'exceeded'
    when budget.used_tokens + budget.reserved_tokens + call_tokens > budget.max_tokens
      or usd(budget.used_cost_usd) + budget.reserved_cost_usd + usd(call_cost) > usd(budget.max_cost_usd) then 'held'
    else 'reserved'
  end;
  if outcome = 'reserved' then
    insert into budget_reservations (call_id, run_id, tokens, cost_usd, expires_at)
    values (for_call, for_run, call_tokens, call_cost, clock_timestamp() + make_interval(secs => seconds))
    on conflict (call_id) do update
      set tokens = excluded.tokens, cost_usd = excluded.cost_usd, expires_at = excluded.expires_at;
  else
    delete from budget_reservations where call_id = for_call;
  end if;
  return to_jsonb(budget) || jsonb_build_object('outcome', outcome);
end
$$;
