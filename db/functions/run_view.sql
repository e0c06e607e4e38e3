-- A run of this account as clients read it, or null. `db/run-views.ts` has its type. Clients wait for this more than
-- for anything else, so it is one round trip, and in plpgsql, because Postgres then keeps its plan.
create or replace function run_view(for_account text, for_run text) returns json language plpgsql stable as $$
begin
  return (
    select to_json(view)
    from runs
    left join texts as final on final.text_id = runs.final_output_id,
    lateral (
      select runs.run_id, runs.status, runs.phase, runs.task,
        array(
          select tasks.id
          from gates
          join tasks on tasks.run_id = gates.run_id and tasks.id = gates.task_id
          where gates.run_id = for_run and gates.status = 'open'
          order by tasks.position
        ) as waiting_tasks,
        tasks_view(for_run) as tasks, final.text as final_output, runs.error, runs.error_code, warnings_of(runs) as warnings, usage_of(for_run) as usage,
        agents_view(runs.agents) as agents, gates_view(runs.human_gates) as human_gates, runs.ask_me_about, runs.require_approval,
        without_password(runs.webhook_url) as webhook_url, runs.gate_due_in, runs.remind_every, runs.on_timeout,
        without_password(runs.escalation_webhook_url) as escalation_webhook_url, runs.provider_id,
        runs.kind, runs.origin, runs.orchestration_id, runs.agent_id,
        runs.forked_from, runs.attempt, runs.fallback_provider_ids, runs.max_cost_usd, runs.max_tokens, runs.on_budget,
        runs.metadata, runs.tags, attachments_view(for_run, '') as attachments,
        pending_for(runs) as pending_for, queue_position(runs) as queue_position, iso(runs.start_at) as start_at,
        iso(runs.created_at) as created_at, iso(runs.started_at) as started_at, iso(runs.completed_at) as completed_at,
        iso(runs.held_at) as held_at
    ) as view
    where runs.run_id = for_run and runs.account_id = for_account
  );
end
$$;
