-- Gives an open gate to a person, or, with null, to nobody; tells it in its run; and has who gets it and who loses it told:
-- all of it or nothing. By hand it is the event of a request. What the account's own keys do is not counted. The
-- caller holds the lock on the run, and then the assignments of its account.
create or replace function give_gate(
  for_gate text, to_person text, how text, by_actor jsonb default null, given_note text default null,
  for_request text default null
) returns void language plpgsql as $$
declare
  before gates;
  person people;
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

  perform notify_person(to_person, before.run_id, 'gate.assigned');
  -- Who hands it on or gives it back knows.
  if before.person_id is distinct from to_person and before.person_id is distinct from by_actor ->> 'id' then
    perform notify_person(before.person_id, before.run_id, 'gate.unassigned');
  end if;
end
$$;
