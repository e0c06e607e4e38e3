-- What is posted of an event of a run, as the delivery of this id: to its subscribers, and to the person whom it is about.
create or replace function event_body(delivery text, for_run text, event run_events) returns text language sql stable as $$
  select to_json(told)::text
  from (
    select delivery as id, event.type, iso(event.created_at) as timestamp, for_run as run_id,
      (select kind from runs where run_id = for_run) as kind, event.seq,
      event.data ->> 'task_id' as task_id, event.data ->> 'gate_id' as gate_id,
      (select title from tasks where run_id = for_run and id = event.data ->> 'task_id') as title, event.data
  ) as told
$$;
