-- Counts how a call has ended, and takes that back when it is tried again: the trigger `usage_counts` of runs.
create or replace function count_end() returns trigger language plpgsql as $$
begin
  insert into usage_deltas (
    account_id, side, hour, version_id, agent, version, tenant, key_id, succeeded, failed, cancelled, duration_ms)
  select counted.*,
    (new.status = 'completed')::int - (old.status = 'completed')::int,
    (new.status = 'failed')::int - (old.status = 'failed')::int,
    (new.status = 'cancelled')::int - (old.status = 'cancelled')::int,
    run_duration(new) - run_duration(old)
  from usage_keys_of(new.run_id) as counted;
  return null;
end
$$;
