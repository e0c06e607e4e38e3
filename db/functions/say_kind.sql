-- What a run is of, by what its row refers to: the trigger `runs_kind`, whoever inserts it.
create or replace function say_kind() returns trigger language plpgsql as $$
begin
  new.kind := case
    when new.orchestration_id is not null then 'orchestration'
    when new.agent_id is not null then 'agent'
    else 'goal' end;
  return new;
end
$$;
