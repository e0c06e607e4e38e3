-- The place of a run in the queue of its account, from 1; null when it waits for something else, or has begun.
create or replace function queue_position(run runs) returns integer language sql stable as $$
  select case when run.status = 'pending' and run.queued_at <= now() and run.held_at is null then (
    select count(*)::integer from runs as before
    where before.account_id = run.account_id and before.held_at is null and before.status = 'pending'
      and (before.queued_at, before.run_id) <= (run.queued_at, run.run_id)
  ) end
$$;
