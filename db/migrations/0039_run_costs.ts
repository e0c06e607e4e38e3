import { sql, type Kysely } from 'kysely';

/** Runs are found and sorted by what their model calls have cost. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    -- Shuts out no reader, while what is there is summed up.
    lock table accounts, runs, llm_calls in share row exclusive mode;

    -- Apart from the runs: each paid call writes the row anew, and whoever holds a run would hold up its calls.
    create table run_costs (
      run_id text primary key references runs on delete cascade,
      account_id text not null references accounts on delete cascade,
      cost_usd numeric not null default 0
    );
    insert into run_costs (run_id, account_id, cost_usd)
      select run_id, account_id, coalesce(paid.cost_usd, 0)
      from runs
      left join (
        -- As usd() does.
        select run_id, trim_scale(sum(round(cost_usd::numeric, 9))) as cost_usd
        from llm_calls where cost_usd > 0 and run_id is not null group by run_id
      ) as paid using (run_id)
      where account_id is not null;
    create index run_costs_account on run_costs (account_id, cost_usd, run_id);

    -- Triggers, so that nothing is missed of processes of the release before, nor of a call that waits for the lock above
    -- in the middle of the function that journals it.
    create function begin_run_cost() returns trigger language plpgsql as 'begin return null; end';
    create trigger run_costs after insert on runs for each row execute function begin_run_cost();
    create function add_call_cost() returns trigger language plpgsql as 'begin return null; end';
    create trigger run_costs after insert on llm_calls for each row
      when (new.cost_usd > 0 and new.run_id is not null) execute function add_call_cost();
  `.execute(db);
}
