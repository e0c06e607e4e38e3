-- What the readers of a run are warned of: what was odd in the request that started it, what its workflow has noted, and,
-- while it goes on, the calls that are tried again just now.
create or replace function warnings_of(run runs) returns jsonb language sql stable as $$
  select run.start_warnings || run.warnings || coalesce(
    (select jsonb_agg(told -> 'warning' order by call) from jsonb_each(run.retrying) as retried(call, told)
     where run.status in ('pending', 'running', 'waiting_human')
       -- A call that is given up between two tries takes nothing back.
       and (told ->> 'next_try_at')::timestamptz > now() - interval '5 minutes'),
    '[]')
$$;
