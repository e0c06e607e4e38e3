-- The tasks of a run as clients read them, each with its newest gate.
-- `db/run-views.ts` has its type. In plpgsql, because Postgres then keeps its plan.
create or replace function tasks_view(for_run text) returns json language plpgsql stable as $$
begin
  return (
    select coalesce(json_agg(view order by position), '[]')
    from tasks
    left join texts as output on output.text_id = tasks.output_id
    left join lateral (
      select gate_id, kind, status, reason, decisions, decision, note_of(kind, decision, said.text) as note,
        iso(opened_at) as opened_at, iso(due_at) as due_at, iso(answered_at) as answered_at
      from gates
      left join texts as said on said.text_id = gates.answer_id
      where gates.run_id = for_run and gates.task_id = tasks.id
      order by gates.opened_at desc
      limit 1
    ) as gate on true,
    lateral (
      select tasks.id, tasks.step ->> 'step_id' as step_id, tasks.step ->> 'type' as step_type, tasks.title,
        tasks.description, tasks.kind, tasks.agent, tasks.model, tasks.depends_on, tasks.status, output.text as output,
        tasks.attempts, tasks.evaluation, to_json(gate) as gate, tasks.error, usage_of(for_run, tasks.id) as usage,
        iso(tasks.started_at) as started_at, iso(tasks.completed_at) as completed_at
    ) as view
    where tasks.run_id = for_run
  );
end
$$;
