-- Gives an open gate to a person, or, with null, to nobody; tells it in its run; and has the person told, where they have
-- said where: all of it or nothing. By hand it is the event of a request. What the account's own keys do is not counted. The
-- caller holds the lock on the run, and then the assignments of its account.
create or replace function give_gate(
  for_gate text, to_person text, how text, by_actor jsonb default null, given_note text default null,
  for_request text default null
) returns void language plpgsql as $$
declare
  before gates;
  person people;
  event run_events;
  delivery text;
begin
  select * into before from gates where gate_id = for_gate;
  update gates set
    person_id = to_person, assignment = how, assigned_by = by_actor, assignment_note = given_note,
    assigned_at = case when to_person is not null then clock_timestamp() end,
    assigned_times = assigned_times + (by_actor is null or by_actor ->> 'kind' = 'person')::integer
  where gate_id = for_gate;
  update people set given_at = clock_timestamp() where person_id = to_person returning * into person;

  perform append_events(before.run_id, jsonb_build_array(jsonb_build_object(
    'key', concat_ws('/', 'assignment', coalesce(for_request, concat_ws('/', for_gate, before.assigned_times + 1))),
    'type', case when to_person is null then 'gate.unassigned' else 'gate.assigned' end,
    'data', jsonb_strip_nulls(jsonb_build_object(
      'task_id', before.task_id, 'gate_id', for_gate, 'person_id', to_person, 'name', person.name,
      'taken_from', before.person_id, 'skills', before.skills, 'due_at', iso(before.due_at), 'note', given_note))
      || case when by_actor is null then '{}' else jsonb_build_object('by', by_actor) end)));

  if person.notify_url is not null then
    select run_events.* into event
    from run_events join runs on runs.run_id = run_events.run_id and seq = event_seq
    where run_events.run_id = before.run_id;
    -- Those of the run's own webhook end with a number.
    delivery := format('msg_%s_notice-%s', before.run_id, event.seq);
    insert into webhook_deliveries (delivery_id, account_id, run_id, event, url, body, next_attempt_at)
    values (
      delivery, person.account_id, before.run_id, event.type, person.notify_url,
      event_body(delivery, before.run_id, event), now());
  end if;
end
$$;
