-- Counts once what a call of the operator's models may have cost that gave no answer: for its run, and as spent.
-- `db/managed-budget.ts` says what it promises.
create or replace function count_broken_call(for_broken text, for_run text, call_cost double precision)
returns void language plpgsql as $$
begin
  insert into broken_calls (broken_id, run_id, cost_usd) values (for_broken, for_run, call_cost) on conflict do nothing;
  if found then
    perform spend_managed(for_run, usd(call_cost));
  end if;
end
$$;
