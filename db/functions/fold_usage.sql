-- Adds up to `most` rows of usage_deltas to usage_counts, and returns how many. Those of accounts that are deleted are dropped. Several
-- may do so at once: each takes rows of its own, and all lock what they add to in one order.
create or replace function fold_usage(most integer) returns bigint language plpgsql as $$
declare
  folded bigint;
begin
  with gone as (
    delete from usage_deltas where ctid = any(array(select ctid from usage_deltas limit most for update skip locked))
    returning *
  ), summed as (
    select account_id, side, hour, version_id, agent, version, tenant, key_id, vendor, model, count(*) as rows,
      sum(calls) as calls, sum(succeeded) as succeeded, sum(failed) as failed, sum(cancelled) as cancelled,
      sum(duration_ms) as duration_ms, sum(llm_calls) as llm_calls, sum(input_tokens) as input_tokens,
      sum(output_tokens) as output_tokens, sum(cost_usd) as cost_usd, sum(code_runs) as code_runs, sum(wall_ms) as wall_ms,
      sum(cpu_ms) as cpu_ms
    from gone
    group by account_id, side, hour, version_id, agent, version, tenant, key_id, vendor, model
  ), held as (
    -- So that none of them is deleted meanwhile.
    select account_id from accounts where account_id in (select account_id from summed) order by account_id for key share
  ), added as (
    insert into usage_counts as counted (
      account_id, side, hour, version_id, agent, version, tenant, key_id, vendor, model, calls, succeeded, failed, cancelled,
      duration_ms, llm_calls, input_tokens, output_tokens, cost_usd, code_runs, wall_ms, cpu_ms)
    select account_id, side, hour, version_id, agent, version, tenant, key_id, vendor, model, calls, succeeded, failed, cancelled,
      duration_ms, llm_calls, input_tokens, output_tokens, cost_usd, code_runs, wall_ms, cpu_ms
    from summed join held using (account_id)
    order by account_id, side, hour, version_id, agent, tenant, key_id, vendor, model
    on conflict (account_id, side, hour, version_id, agent, tenant, key_id, vendor, model) do update set
      calls = counted.calls + excluded.calls, succeeded = counted.succeeded + excluded.succeeded,
      failed = counted.failed + excluded.failed, cancelled = counted.cancelled + excluded.cancelled,
      duration_ms = counted.duration_ms + excluded.duration_ms, llm_calls = counted.llm_calls + excluded.llm_calls,
      input_tokens = counted.input_tokens + excluded.input_tokens, output_tokens = counted.output_tokens + excluded.output_tokens,
      cost_usd = counted.cost_usd + excluded.cost_usd, code_runs = counted.code_runs + excluded.code_runs,
      wall_ms = counted.wall_ms + excluded.wall_ms, cpu_ms = counted.cpu_ms + excluded.cpu_ms
  )
  select coalesce(sum(rows), 0) into folded from summed;
  return folded;
end
$$;
