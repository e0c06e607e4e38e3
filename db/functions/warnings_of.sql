-- What the readers of a run are warned of: what its workflow has noted, and, while it goes on, the calls that are tried
-- again just now.
create or replace function warnings_of(run runs) returns jsonb language sql stable as $$
  select run.warnings || coalesce(
    (select jsonb_agg(warning order by call) from jsonb_each(run.retrying) as now(call, warning)
     where run.status in ('pending', 'running', 'waiting_human')),
    '[]')
$$;
