-- Forgets whose a run that has ended is, and what its row says. The caller holds the lock on it. `db/purges.ts` says what
-- it promises. What is left in the row is what its workflow may still ask for: how it ended, and where its webhooks go.
create or replace function purge_run(for_run text) returns void language plpgsql as $$
declare
  this_month constant timestamp := date_trunc('month', now() at time zone 'UTC');
  behind record;
begin
  -- Subscriptions that are behind hear of the end yet; of what came before it, only of what is on its way.
  for behind in
    update webhook_deliveries set holds_up = false where run_id = for_run and holds_up returning subscription_id
  loop
    perform tell_next(for_run, behind.subscription_id, max(seq) - 1) from run_events
    where run_id = for_run and type in ('run.completed', 'run.failed', 'run.cancelled');
  end loop;

  insert into purged_runs (run_id, account_id) select run_id, account_id from runs where run_id = for_run;
  insert into purged_run_counts (account_id, month, runs)
  select account_id, this_month, 1 from runs
  where run_id = for_run and created_at >= this_month at time zone 'UTC' and mode = 'live'
  on conflict (account_id, month) do update set runs = purged_run_counts.runs + 1;

  delete from run_costs where run_id = for_run;
  -- What is journalled of it yet is counted under what it was.
  insert into purged_calls (run_id, account_id, owner_id, version_id, agent, version, tenant, key_id, created_at)
  select run_id, account_id, owner_id, version_id, agent, version, tenant, key_of_call(agent_calls), created_at
  from agent_calls where run_id = for_run;
  delete from agent_calls where run_id = for_run;
  delete from providers where run_id = for_run;

  -- What was given to it alone goes with it, once housekeeping has it out of the store. Of runs that have a file both, and are
  -- purged at the same time, the later one waits here and sees that the other is nobody's.
  perform from files where file_id in (select file_id from run_files where run_id = for_run) order by file_id for update;
  update files set status = 'deleted', account_id = null, name = '', media_type = '', sha256 = '', request_id = null
  where status = 'stored' and file_id in (select file_id from run_files where run_id = for_run)
    and not exists (
      select from run_files as other join runs on runs.run_id = other.run_id
      where other.file_id = files.file_id and other.run_id <> for_run and runs.account_id is not null);

  -- A request that began the run, and is made again, must not begin another one.
  update idempotency_keys set run_id = null, status = 404, answer_encrypted = null where run_id = for_run;

  update runs set
    account_id = null, started_by = null, channel = null, user_id = null, task = '', metadata = '{}', tags = '{}',
    agents = '[]', agent_run = null, human_gates = '[]', ask_me_about = '[]', plan = null, forked_from = null,
    shared_state = case when shared_state is not null then '{}'::jsonb end, first_state = null, rerun_from = null,
    gate_due_in = null, remind_every = null, escalation_webhook_url = null, held_at = null,
    provider_id = null, fallback_provider_ids = '[]', max_cost_usd = null, max_tokens = null,
    error = null, error_code = null, warnings = '[]', start_warnings = '[]', retrying = '{}'
  where run_id = for_run;
end
$$;
