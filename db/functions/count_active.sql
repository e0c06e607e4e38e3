-- How many runs of an account have begun and not ended; more than `most` are not counted (null: all are).
create or replace function count_active(for_account text, most integer) returns bigint language sql stable as $$
  select count(*) from (
    select from runs
    where account_id = for_account and queued_at is null and status in ('pending', 'running', 'waiting_human')
    limit most
  ) as active
$$;
