-- What a run may spend and has spent. Each approval of a budget gate grants the limits once more.
create or replace function budget_of(for_run text) returns table (
  approvals bigint, max_tokens bigint, max_cost_usd double precision, used_tokens bigint, used_cost_usd double precision
) language sql stable as $$
  select granted.times, runs.max_tokens * (1 + granted.times), usd(runs.max_cost_usd) * (1 + granted.times),
    used.tokens, used.cost_usd
  from runs,
  lateral (
    select count(*) as times
    from gates
    where gates.run_id = runs.run_id and gates.kind = 'budget' and gates.decision = 'approve'
  ) as granted,
  lateral (
    select coalesce(sum(input_tokens + output_tokens), 0) as tokens, coalesce(sum(usd(cost_usd)), 0) as cost_usd
    from llm_calls
    where llm_calls.run_id = runs.run_id
  ) as used
  where runs.run_id = for_run
$$;
