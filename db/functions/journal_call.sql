-- Journals a model call, settles what was reserved for it, counts what it costs the operator, and shows its answer as the
-- draft of a task, or completes its run with it, where that is given. What it costs its run is added by `add_call_cost`.
-- `is_first` is false when it was journalled before. `db/llm-calls.ts` says what it promises.
create or replace function journal_call(
  call jsonb, calls_of_tools jsonb, answer text, draft jsonb, completing jsonb, out is_first boolean, out status text
) language plpgsql as $$
declare
  for_call text := call ->> 'call_id';
  for_run text := call ->> 'run_id';
  run_status text;
begin
  -- The run is locked before the rows that refer to it: two calls of a run would wait for each other.
  if draft is not null or completing is not null then
    select runs.status into run_status from runs where run_id = for_run for update;
  end if;
  insert into texts (text_id, run_id, text) values (for_call, for_run, answer) on conflict do nothing;
  insert into llm_calls (
    call_id, run_id, task_id, purpose, vendor, model, provider_id, finish, input_tokens, output_tokens, cost_usd, tool_calls,
    duration_ms)
  select
    for_call, for_run, task_id, purpose, vendor, model, provider_id, finish, input_tokens, output_tokens, cost_usd,
    calls_of_tools, duration_ms
  from jsonb_to_record(call) as made (
    task_id text, purpose text, vendor text, model text, provider_id text, finish text, input_tokens integer,
    output_tokens integer, cost_usd double precision, duration_ms integer)
  on conflict do nothing;
  is_first := found;
  delete from budget_reservations where call_id = for_call;
  if is_first and call ->> 'provider_id' is null and call ->> 'cost_usd' is not null then
    perform spend_managed(for_run, usd((call ->> 'cost_usd')::double precision));
  end if;
  -- Until the run's progress says the same. Nothing happens to a task that is not at this attempt any more.
  if is_first and draft is not null and run_status not in ('completed', 'failed', 'cancelled') then
    update tasks set output_id = for_call
    where run_id = for_run and id = call ->> 'task_id' and attempts = (draft -> 'attempt')::integer
      and tasks.status = 'running';
    perform append_events(for_run, draft -> 'events');
  end if;
  if is_first and completing is not null then
    status := save_progress(for_run, completing);
  end if;
end
$$;
