-- Looks at whose an open gate is: who may not have it (any more), or is passed over, loses it to the next who fits, or to
-- nobody. `db/assignments.ts` says what it promises. The caller holds the lock on the run. Returns whether that has changed.
create or replace function assign_gate(for_gate text, passes_over boolean default false) returns boolean
language plpgsql as $$
declare
  looked_at gates;
  keeps boolean;
  -- Each time is an event, and told. From then on it stays with all who have the skills.
  is_last boolean;
  chosen text;
begin
  select * into looked_at from gates where gate_id = for_gate and status = 'open';
  -- What was given back by hand stays with all who have the skills.
  if not found or looked_at.assignment = 'released' or looked_at.person_id is null and looked_at.skills = '{}' then
    return false;
  end if;
  perform hold_assignments(looked_at.account_id);

  -- Of those that a person has, the ones that came last are too many.
  select exists (
    select from people
    where person_id = looked_at.person_id and status = 'active'
      and (looked_at.assignment = 'given' or skills @> looked_at.skills)
      and (max_open is null or max_open >= (
        select count(*) from gates as held
        where held.person_id = people.person_id and held.status = 'open'
          and (held.assigned_at, held.gate_id) <= (looked_at.assigned_at, looked_at.gate_id)))
  ) into keeps;
  if keeps and not passes_over then
    return false;
  end if;

  is_last := looked_at.assigned_times >= most_assignments();
  if looked_at.skills <> '{}' and not is_last then
    select people.person_id into chosen
    from people,
      lateral (
        select count(*) as open from gates as held
        where held.person_id = people.person_id and held.status = 'open'
      ) as load
    where people.account_id = looked_at.account_id and people.status = 'active' and people.skills @> looked_at.skills
      and people.person_id is distinct from looked_at.person_id
      and (max_open is null or max_open > load.open)
    order by load.open, given_at nulls first, created_at, people.person_id
    limit 1;
  end if;
  -- It stays with who has it, or is known to be nobody's.
  if chosen is null and (keeps or looked_at.assignment = 'wanted' and looked_at.person_id is null and not is_last) then
    return false;
  end if;
  perform give_gate(
    for_gate, chosen,
    case when chosen is not null then 'automatic' when is_last then 'released' when looked_at.skills <> '{}' then 'wanted' end);
  return true;
end
$$;
