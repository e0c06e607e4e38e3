-- Counts what the sandbox has done for a call, each try by itself, and the time of it when that is known: the trigger `usage_counts` of
-- code_runs.
create or replace function count_code_run() returns trigger language plpgsql as $$
declare
  is_new constant boolean := tg_op = 'INSERT';
begin
  insert into usage_deltas (account_id, side, hour, version_id, agent, version, tenant, key_id, code_runs, wall_ms, cpu_ms)
  select counted.*, is_new::int,
    coalesce(new.wall_ms, 0) - case when is_new then 0 else coalesce(old.wall_ms, 0) end,
    coalesce(new.cpu_ms, 0) - case when is_new then 0 else coalesce(old.cpu_ms, 0) end
  from usage_keys_of(new.run_id) as counted where side = 'caller';
  return null;
end
$$;
