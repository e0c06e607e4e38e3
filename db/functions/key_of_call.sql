-- The key that a call is told under: that of the first call of its chain, as far as that is known, for code that calls has a key of its
-- own for each run.
create or replace function key_of_call(call agent_calls) returns text language sql stable as $$
  select coalesce((select key_id from agent_calls where run_id = call.root_run_id), call.key_id)
$$;
