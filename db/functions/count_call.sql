-- Counts a call of an agent: the trigger `usage_counts` of agent_calls.
create or replace function count_call() returns trigger language plpgsql as $$
begin
  insert into usage_deltas (account_id, side, hour, version_id, agent, version, tenant, key_id, calls)
  select counted.*, 1 from usage_keys_of(new.run_id) as counted;
  return null;
end
$$;
