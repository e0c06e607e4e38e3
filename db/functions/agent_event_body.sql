-- What is posted of an event of a run to those who hear of it in OrchStack's words (`agent_event`), as the delivery of this id.
-- An output is whole up to 100,000 characters; of what a gate shows, each text has 10,000 at most.
create or replace function agent_event_body(delivery text, for_run text, event run_events) returns text language sql stable as $$
  select json_build_object(
    'id', delivery, 'type', agent_event(run.kind, event.type), 'timestamp', iso(event.created_at),
    'data', json_build_object(
      'run_id', run.run_id, 'agent_id', run.agent_id, 'workflow_id', run.orchestration_id,
      'channel', run.channel, 'user_id', run.user_id,
      'status', case event.type when 'run.completed' then 'completed' when 'run.failed' then 'failed' else 'waiting_human' end,
      'output', left(output, 100000), 'output_truncated', coalesce(length(output) > 100000, false),
      'error', case when event.type = 'run.failed' then event.data ->> 'error' end,
      'gate', case when event.type = 'gate.opened' then (
        select json_build_object(
          'gate_id', gates.gate_id, 'task_id', gates.task_id, 'kind', gates.kind,
          -- What is to be done says the task, and why something is to be decided on, the gate.
          'question', shown_of(case when gates.kind in ('context', 'human_task', 'human_step')
            then coalesce(prompt, gates.reason, waits) else coalesce(gates.reason, prompt, waits) end, 10000),
          'context', shown_of(form ->> 'agent_context', 10000), 'fields', form -> 'fields',
          'draft', shown_of(draft.text, 10000), 'decisions', gates.decisions, 'person', assignee_of(gates),
          'opened_at', iso(gates.opened_at), 'due_at', iso(gates.due_at),
          'answer_url', '/v1/runs/' || for_run || '/gates/' || gates.gate_id)
        from gates
        join tasks on tasks.run_id = gates.run_id and tasks.id = gates.task_id
        left join texts as draft on draft.text_id = tasks.output_id
        left join texts as asked on gates.kind = 'human_step' and asked.text_id = for_run || '/' || gates.task_id || '/form'
        cross join lateral (
          select asked.text::jsonb as form, '"' || tasks.title || '" waits for a person.' as waits) as shown
        cross join lateral coalesce(form ->> 'prompt', nullif(tasks.description, '')) as prompt
        where gates.gate_id = event.data ->> 'gate_id') end,
      'tokens', json_build_object('input', usage -> 'input_tokens', 'output', usage -> 'output_tokens'),
      'duration_ms', round(extract(epoch from event.created_at - coalesce(run.started_at, run.created_at)) * 1000)))::text
  from runs as run,
    usage_of(for_run) as usage,
    lateral (select case when event.type = 'run.completed' then run_output(run) end as output) as come_to
  where run.run_id = for_run
$$;
