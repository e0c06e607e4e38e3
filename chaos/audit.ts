import { sql } from 'kysely';
import type { Db } from '../db/index.ts';

/** A status as a trigger saw it change. `task_id` is null for the run itself. */
export type Change = {
  run_id: string;
  task_id: string | null;
  before: string;
  after: string;
  versions: [number, number];
  at: string;
};

/** How many unfinished runs an account had when one of them was begun, or begun again, as a trigger counted them. */
export type Begun = { run_id: string; account_id: string; unfinished: number; at: string };

/**
 * Lets the database itself note every change of a status and a version, whoever makes it, and how many runs an account has
 * at once.
 */
export async function startAudit(db: Db): Promise<void> {
  await sql`
    create table audit (
      audit_id bigint generated always as identity primary key,
      run_id text, task_id text, before text, after text, versions jsonb, at timestamptz default clock_timestamp());
    create function audit() returns trigger language plpgsql as $$
    begin
      insert into audit (run_id, task_id, before, after, versions)
      values (new.run_id, to_jsonb(new) ->> 'id', old.status, new.status, jsonb_build_array(old.version, new.version));
      return new;
    end
    $$;
    create trigger audit after update on runs for each row execute function audit();
    create trigger audit after update on tasks for each row execute function audit();
    create table begun (run_id text, account_id text, unfinished int, at timestamptz default clock_timestamp());
    create function count_begun() returns trigger language plpgsql as $$
    begin
      insert into begun (run_id, account_id, unfinished)
      select new.run_id, new.account_id, count(*) from runs
      where account_id = new.account_id and status in ('pending', 'running', 'waiting_human');
      return null;
    end
    $$;
    create trigger begun after insert on runs for each row execute function count_begun();
    create trigger begun_again after update on runs for each row
      when (old.status = 'failed' and new.status = 'pending') execute function count_begun();`.execute(db);
}
