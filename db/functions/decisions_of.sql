-- The decisions that a gate takes over REST. A task of a person is rejected by sending one before it back.
create or replace function decisions_of(gate gates, task tasks) returns jsonb language sql immutable as $$
  select case when gate.kind = 'human_task' and task.depends_on <> '[]' then gate.decisions || '["reject"]' else gate.decisions end
$$;
