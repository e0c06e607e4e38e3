-- What a run counts under that was called as an agent, also once it is purged: its account's calls and, when the agent is another's,
-- the calls of that one's agents. No row of any other run.
create or replace function usage_keys_of(for_run text) returns table (
  account_id text, side text, hour timestamptz, version_id uuid, agent text, version text, tenant text, key_id text
) language sql stable as $$
  with called as (
    select account_id, owner_id, created_at, version_id, agent, version, tenant, key_of_call(agent_calls) as key_id
    from agent_calls where run_id = for_run
    union all
    select account_id, owner_id, created_at, version_id, agent, version, tenant, key_id
    from purged_calls where run_id = for_run
  )
  select account_id, 'caller', date_trunc('hour', created_at, 'UTC'), version_id, agent, version, coalesce(tenant, ''), key_id
  from called
  union all
  select owner_id, 'author', date_trunc('hour', created_at, 'UTC'), version_id, agent, version, '', ''
  from called where owner_id <> account_id
$$;
