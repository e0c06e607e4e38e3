import { sql, type Kysely } from 'kysely';

/** Limits of a run's spending. `db/budget.ts` says what the functions promise. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table runs
      add column max_cost_usd double precision,
      add column max_tokens bigint,
      add column on_budget text not null default 'gate';

    create table budget_reservations (
      call_id text primary key,
      run_id text not null references runs on delete cascade,
      tokens bigint not null,
      cost_usd double precision not null,
      expires_at timestamptz(3) not null
    );
    create index budget_reservations_run on budget_reservations (run_id);

    -- Each approval of a budget gate grants the limits once more.
    create function budget_of(for_run text) returns table (
      approvals bigint, max_tokens bigint, max_cost_usd double precision, used_tokens bigint, used_cost_usd double precision
    ) language sql stable as $$
      select granted.times, runs.max_tokens * (1 + granted.times), runs.max_cost_usd * (1 + granted.times),
        used.tokens, used.cost_usd
      from runs,
      lateral (
        select count(*) as times from gates
        where gates.run_id = runs.run_id and gates.kind = 'budget' and gates.decision = 'approve'
      ) as granted,
      lateral (
        select coalesce(sum(input_tokens + output_tokens), 0) as tokens, coalesce(sum(cost_usd), 0) as cost_usd
        from llm_calls where llm_calls.run_id = runs.run_id
      ) as used
      where runs.run_id = for_run
    $$;

    create function reserve_budget(for_run text, for_call text, call_tokens bigint, call_cost double precision, seconds double precision)
    returns jsonb language plpgsql as $$
    declare
      budget record;
      outcome text;
    begin
      perform from runs where run_id = for_run for update;
      -- One statement: a call that is settled meanwhile counts once, as reserved or as used.
      select * into strict budget from budget_of(for_run), lateral (
        select coalesce(sum(tokens), 0) as reserved_tokens, coalesce(sum(cost_usd), 0) as reserved_cost_usd
        from budget_reservations
        where run_id = for_run and call_id <> for_call and expires_at > clock_timestamp()
      ) as reserved;
      outcome := case
        when budget.used_tokens + call_tokens > budget.max_tokens
          or budget.used_cost_usd + call_cost > budget.max_cost_usd then 'exceeded'
        when budget.used_tokens + budget.reserved_tokens + call_tokens > budget.max_tokens
          or budget.used_cost_usd + budget.reserved_cost_usd + call_cost > budget.max_cost_usd then 'held'
        else 'reserved'
      end;
      if outcome = 'reserved' then
        insert into budget_reservations (call_id, run_id, tokens, cost_usd, expires_at)
        values (for_call, for_run, call_tokens, call_cost, clock_timestamp() + make_interval(secs => seconds))
        on conflict (call_id) do update
          set tokens = excluded.tokens, cost_usd = excluded.cost_usd, expires_at = excluded.expires_at;
      else
        delete from budget_reservations where call_id = for_call;
      end if;
      return to_jsonb(budget) || jsonb_build_object('outcome', outcome);
    end
    $$;

    create function warn_of_budget(for_run text, share double precision) returns void language plpgsql as $$
    declare
      budget record;
    begin
      perform from runs where run_id = for_run for update;
      select * into strict budget from budget_of(for_run);
      if budget.used_tokens >= share * budget.max_tokens or budget.used_cost_usd >= share * budget.max_cost_usd then
        perform append_events(for_run, jsonb_build_array(jsonb_build_object(
          'key', 'budget.warning/' || budget.approvals, 'type', 'budget.warning',
          'data', to_jsonb(budget) - 'approvals')));
      end if;
    end
    $$;
  `.execute(db);

  // Adds to the view as the migrations before this one left it.
  await sql`
    do $$ begin
      execute replace(pg_get_functiondef('run_view'::regproc), 'runs.provider_id,',
        'runs.provider_id, runs.max_cost_usd, runs.max_tokens, runs.on_budget,');
    end $$
  `.execute(db);
}
