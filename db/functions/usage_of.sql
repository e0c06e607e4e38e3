-- The model calls of a run, or of one of its tasks, and what they cost. In plpgsql, because Postgres then keeps its
-- plan.
create or replace function usage_of(for_run text, for_task text default null)
returns jsonb language plpgsql stable as $$
begin
  return (
    select jsonb_build_object(
      'llm_calls', count(*),
      'input_tokens', coalesce(sum(input_tokens), 0),
      'output_tokens', coalesce(sum(output_tokens), 0),
      'cost_usd', coalesce(sum(usd(cost_usd)), 0))
    from llm_calls
    where run_id = for_run and (for_task is null or task_id = for_task)
  );
end
$$;
