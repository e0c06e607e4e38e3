-- Counts a model call of a run that was called as an agent, as it is journalled: the trigger `usage_counts` of llm_calls. What it costs
-- is not for the agent's author.
create or replace function count_model_call() returns trigger language plpgsql as $$
begin
  insert into usage_deltas (
    account_id, side, hour, version_id, agent, version, tenant, key_id, vendor, model, llm_calls, input_tokens, output_tokens, cost_usd)
  select counted.*, new.vendor, new.model, 1, new.input_tokens, new.output_tokens, coalesce(usd(new.cost_usd), 0)
  from usage_keys_of(new.run_id) as counted where side = 'caller';
  return null;
end
$$;
