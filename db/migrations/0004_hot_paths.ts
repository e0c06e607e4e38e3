import { sql, type Kysely } from 'kysely';

/**
 * What clients wait for most, reading a run and answering a gate, each in one round trip whose plan Postgres keeps.
 * `db/run-views.ts` and `db/gates.ts` say what they promise.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function iso(moment timestamptz) returns text language sql stable as $$
      select to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    $$;

    create function usage_of(for_run text, for_task text default null) returns jsonb language plpgsql stable as $$
    begin
      return (
        select jsonb_build_object(
          'llm_calls', count(*), 'input_tokens', coalesce(sum(input_tokens), 0),
          'output_tokens', coalesce(sum(output_tokens), 0), 'cost_usd', coalesce(sum(cost_usd), 0))
        from llm_calls where run_id = for_run and (for_task is null or task_id = for_task)
      );
    end
    $$;

    create function tasks_view(for_run text) returns json language plpgsql stable as $$
    begin
      return (
        select coalesce(json_agg(view order by position), '[]')
        from tasks
        left join texts as output on output.text_id = tasks.output_id
        left join lateral (
          select gate_id, kind, status, reason, decisions, decision,
            iso(opened_at) as opened_at, iso(answered_at) as answered_at
          from gates where gates.run_id = for_run and gates.task_id = tasks.id order by gates.opened_at desc limit 1
        ) as gate on true,
        lateral (
          select tasks.id, tasks.title, tasks.description, tasks.kind, tasks.agent, tasks.model, tasks.depends_on,
            tasks.status, output.text as output, tasks.attempts, tasks.evaluation, to_json(gate) as gate, tasks.error,
            usage_of(for_run, tasks.id) as usage, iso(tasks.started_at) as started_at,
            iso(tasks.completed_at) as completed_at
        ) as view
        where tasks.run_id = for_run
      );
    end
    $$;

    create function run_view(for_account text, for_run text) returns json language plpgsql stable as $$
    begin
      return (
        select to_json(view)
        from runs
        left join texts as final on final.text_id = runs.final_output_id,
        lateral (
          select runs.run_id, runs.status, runs.phase, runs.task,
            array(select tasks.id from gates join tasks on tasks.run_id = gates.run_id and tasks.id = gates.task_id
                  where gates.run_id = for_run and gates.status = 'open' order by tasks.position) as waiting_tasks,
            tasks_view(for_run) as tasks, final.text as final_output, runs.error, runs.warnings,
            usage_of(for_run) as usage, runs.agents, runs.human_gates, runs.ask_me_about, runs.require_approval,
            runs.webhook_url, runs.provider_id, iso(runs.created_at) as created_at, iso(runs.started_at) as started_at,
            iso(runs.completed_at) as completed_at
        ) as view
        where runs.run_id = for_run and runs.account_id = for_account
      );
    end
    $$;

    create function settle_gate(for_run text, for_gate text, given_decision text, given_output text)
    returns table (won boolean, gate gates) language plpgsql as $$
    declare
      settled gates;
    begin
      perform from runs where run_id = for_run for update;
      update gates set status = 'answered', decision = given_decision, answered_at = now(),
        answer_id = case when given_output is not null then for_gate end
      where gate_id = for_gate and status = 'open' returning * into settled;
      if not found then
        return query select false, gates from gates where gate_id = for_gate;
        return;
      end if;
      if given_output is not null then
        insert into texts (text_id, run_id, text) values (for_gate, for_run, given_output) on conflict do nothing;
      end if;
      update tasks set status = 'running' where run_id = for_run and id = settled.task_id;
      update runs set status = 'running' where run_id = for_run and status = 'waiting_human'
        and not exists (select from gates where run_id = for_run and status = 'open');
      perform append_events(for_run, jsonb_build_array(jsonb_build_object(
        'key', 'answer/' || for_gate, 'type', 'gate.answered', 'data',
        jsonb_build_object('task_id', settled.task_id, 'gate_id', for_gate, 'decision', given_decision))));
      return query select true, settled;
    end
    $$;
  `.execute(db);
}
