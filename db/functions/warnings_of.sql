-- What the readers of a run are warned of: what was odd in the request that started it, what its workflow has noted, and,
-- while it goes on, the calls that are tried again just now, and the gates that ask for skills which nobody has who is free.
create or replace function warnings_of(run runs) returns jsonb language sql stable as $$
  select run.start_warnings || run.warnings || coalesce(
    (select jsonb_agg(told -> 'warning' order by call) from jsonb_each(run.retrying) as retried(call, told)
     where run.status in ('pending', 'running', 'waiting_human')
       -- A call that is given up between two tries takes nothing back.
       and (told ->> 'next_try_at')::timestamptz > now() - interval '5 minutes'),
    '[]') || coalesce(
    (select jsonb_agg(
        format('%s asks for a person who knows: %s. Nobody who does is free; it is assigned as soon as somebody is.',
          task_id, array_to_string(skills, ', '))
        order by opened_at, gate_id)
     from gates where run_id = run.run_id and status = 'open' and assignment = 'wanted'),
    '[]')
$$;
