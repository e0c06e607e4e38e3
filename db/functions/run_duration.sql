-- How long a run took that has ended, in milliseconds: 0 of one that has not, or that never began.
create or replace function run_duration(run runs) returns bigint language sql immutable as $$
  select case when run.status in ('completed', 'failed', 'cancelled')
    then coalesce(round(extract(epoch from greatest(run.completed_at - run.started_at, '0')) * 1000)::bigint, 0)
    else 0 end
$$;
