-- What a run may spend and has spent. Each approval of a budget gate grants the limits once more; where they are so low that
-- this does not cover the call that was asked about, what the run would have used with it, twice.
create or replace function budget_of(for_run text) returns table (
  approvals bigint, max_tokens bigint, max_cost_usd double precision, used_tokens bigint, used_cost_usd double precision
) language sql stable as $$
  select granted.times,
    case when runs.max_tokens is not null then greatest(runs.max_tokens * (1 + granted.times), 2 * granted.tokens) end,
    case when runs.max_cost_usd is not null then
      greatest(usd(runs.max_cost_usd) * (1 + granted.times), 2 * usd(granted.cost_usd)) end,
    used.tokens, used.cost_usd
  from runs,
  lateral (
    select count(*) as times, max((asked -> 'tokens')::bigint) as tokens,
      max((asked -> 'cost_usd')::double precision) as cost_usd
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
