-- What a run waits for: its open gates, the oldest first, each with what it takes to answer it. `db/run-results.ts` has the type
-- of one. What they wait about is 8 MiB at most: each has an equal share of it, and is cut to that.
create or replace function open_gates_view(for_run text) returns json language plpgsql stable as $$
declare
  share integer;
begin
  select 8 * 1024 * 1024 / 4 / greatest(count(*), 1) into share from gates where run_id = for_run and status = 'open';
  return (
    select coalesce(json_agg(json_build_object(
      'gate_id', gates.gate_id, 'task_id', gates.task_id, 'kind', gates.kind, 'title', tasks.title,
      'prompt', shown_of(coalesce(form ->> 'prompt', nullif(tasks.description, '')), share), 'reason', gates.reason,
      'context', shown_of(form ->> 'agent_context', share), 'fields', form -> 'fields',
      'draft', shown_of(draft.text, share), 'decisions', gates.decisions,
      'person', assignee_of(gates), 'opened_at', iso(gates.opened_at), 'due_at', iso(gates.due_at))
      order by gates.opened_at, tasks.position), '[]')
    from gates
    join tasks on tasks.run_id = gates.run_id and tasks.id = gates.task_id
    left join texts as draft on draft.text_id = tasks.output_id
    left join texts as asked on gates.kind = 'human_step' and asked.text_id = gates.run_id || '/' || gates.task_id || '/form'
    cross join lateral (select asked.text::jsonb as form) as shown
    where gates.run_id = for_run and gates.status = 'open'
  );
end
$$;
