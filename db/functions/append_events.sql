-- Appends events to what is told of a run: each key once, numbered without a gap. The caller holds the lock on the run,
-- so numbers become visible in order. Arguments that a person wrote are known here only: where an event names their text
-- (`args_id`), it is told with its beginning.
create or replace function append_events(for_run text, events jsonb) returns void language sql as $$
  with fresh as (
    select event ->> 'key' as key, event ->> 'type' as type,
      case when event -> 'data' ? 'args_id'
        then (event -> 'data') - 'args_id' || coalesce(
          (select jsonb_build_object('args', left(text, 200)) from texts where text_id = event -> 'data' ->> 'args_id'), '{}')
        else event -> 'data' end as data,
      row_number() over (order by position) as number
    from jsonb_array_elements(events) with ordinality as given(event, position)
    where not exists (select from run_events where run_id = for_run and event_key = event ->> 'key')
  ), numbered as (
    update runs set event_seq = event_seq + (select count(*) from fresh)
    where run_id = for_run and exists (select from fresh)
    returning event_seq - (select count(*) from fresh) as last_seq
  )
  insert into run_events (run_id, seq, event_key, type, data)
  select for_run, last_seq + number, key, type, data from fresh, numbered
$$;
