-- What a run waits for before it begins; null when it has begun, or is about to.
create or replace function pending_for(run runs) returns text language sql stable as $$
  select case
    when run.status <> 'pending' then null
    when run.queued_at > now() then 'start_at'
    when run.queued_at is not null and run.held_at is not null then 'release'
    when run.queued_at is not null then 'place'
  end
$$;
