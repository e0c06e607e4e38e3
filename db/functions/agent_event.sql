-- What OrchStack calls an event of a run of this kind, or null where it has no word for it. Runs of goals are none of its.
create or replace function agent_event(kind text, type text) returns text language sql immutable as $$
  select case
    when kind not in ('agent', 'orchestration') then null
    when type = 'run.completed' then 'agent.run.completed'
    when type = 'run.failed' then 'agent.run.failed'
    when type = 'gate.opened' then 'agent.gate.pending'
  end
$$;
