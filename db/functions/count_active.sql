-- How many runs of an account have begun and not ended; more than `most` are not counted (null: all are). What another run has called
-- takes no place: that one has its own, and waits for it.
create or replace function count_active(for_account text, most integer) returns bigint language sql stable as $$
  select count(*) from (
    select from runs
    where account_id = for_account and queued_at is null and status in ('pending', 'running', 'waiting_human')
      and not exists (select from agent_calls where agent_calls.run_id = runs.run_id and parent_run_id is not null)
    limit most
  ) as active
$$;
