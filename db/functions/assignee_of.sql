-- Whose a gate is, with their name, which is null of a person who was removed; null when it is nobody's.
create or replace function assignee_of(gate gates) returns json language sql stable as $$
  select json_build_object('person_id', gate.person_id, 'name', (select name from people where person_id = gate.person_id))
  where gate.person_id is not null
$$;
