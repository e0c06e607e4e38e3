-- Adds what a model call costs to what its run does: the trigger `run_costs` of llm_calls, once for each call that is
-- journalled and costs something. A run that is purged has no such row any more, and gets none.
create or replace function add_call_cost() returns trigger language plpgsql as $$
begin
  update run_costs set cost_usd = cost_usd + usd(new.cost_usd) where run_id = new.run_id;
  return null;
end
$$;
