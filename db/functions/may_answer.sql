-- Whether a person may answer a gate now: it is open, and theirs, or nobody's and asks for skills that they have all of.
create or replace function may_answer(for_person text, for_gate text) returns boolean language sql stable as $$
  select exists (
    select from gates
    join people on people.person_id = for_person and people.account_id = gates.account_id
    where gate_id = for_gate and gates.status = 'open' and people.status = 'active'
      and (gates.person_id = people.person_id
        or gates.person_id is null and gates.skills <> '{}' and people.skills @> gates.skills))
$$;
