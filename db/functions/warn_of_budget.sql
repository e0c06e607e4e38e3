-- Tells once for each limit that a run has used this share of it.
create or replace function warn_of_budget(for_run text, share double precision) returns void language plpgsql as $$
declare
  budget record;
begin
  perform from runs where run_id = for_run for update;
  select * into strict budget from budget_of(for_run);
  if budget.used_tokens >= share * budget.max_tokens or budget.used_cost_usd >= share * budget.max_cost_usd then
    perform append_events(for_run, jsonb_build_array(jsonb_build_object(
      'key', 'budget.warning/' || budget.approvals,
      'type', 'budget.warning',
      'data', to_jsonb(budget) - 'approvals')));
  end if;
end
$$;
