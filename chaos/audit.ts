import { sql } from 'kysely';
import type { Db } from '../db/index.ts';
import { listenerIsAlive } from '../db/live-listener.ts';

/** A status as a trigger saw it change. `task_id` is null for the run itself. */
export type Change = {
  run_id: string;
  task_id: string | null;
  before: string;
  after: string;
  versions: [number, number];
  /** How often a person had the task begun anew; null for the run. */
  rounds: [number, number] | [null, null];
  at: string;
};

/** How many unfinished runs an account had when one of them was accepted, or tried again, as a trigger counted them. */
export type Accepted = { run_id: string; account_id: string; unfinished: number; at: string };

/**
 * That a run left the queue of its account and began, in the order in which they did; those of one `txid` at once. `active` is how many
 * runs of the account had begun by then and not ended, this one among them; `at` is when that was looked at, or before.
 */
export type Begun = {
  begun_id: number;
  txid: string;
  run_id: string;
  account_id: string;
  active: number;
  queued_at: string;
  start_at: string | null;
  at: string;
  /** When it was noted, after all that was seen had happened. */
  noted_at: string;
  /** An agent has called it that has a place itself: it takes none, and does not wait for one. */
  is_called: boolean;
};

/** How many open gates a person had when one of them became theirs, and how many they may have. */
export type Given = { gate_id: string; person_id: string; open: number; max_open: number | null };

/**
 * A call that began a run of its own although another of the same key that asked for the same, `left_run_id`, could be taken up: its client
 * had left at `left_at`; null where the process of the API that they waited at was gone.
 */
export type Missed = { run_id: string; left_run_id: string; left_at: string | null; at: string };

/** How many files an account had, and how many bytes they had together, when one came to them. */
export type Filed = { file_id: string; account_id: string; files: number; bytes: number };

/**
 * Lets the database itself note every change of a status and a version, whoever makes it, and how many runs and files an
 * account has at once, and gates a person.
 */
export async function startAudit(db: Db): Promise<void> {
  await sql`
    create table audit (
      audit_id bigint generated always as identity primary key,
      run_id text, task_id text, before text, after text, versions jsonb, rounds jsonb,
      at timestamptz default clock_timestamp());
    create function audit() returns trigger language plpgsql as $$
    begin
      insert into audit (run_id, task_id, before, after, versions, rounds)
      values (
        new.run_id, to_jsonb(new) ->> 'id', old.status, new.status, jsonb_build_array(old.version, new.version),
        jsonb_build_array(to_jsonb(old) -> 'round', to_jsonb(new) -> 'round'));
      return new;
    end
    $$;
    create trigger audit after update on runs for each row execute function audit();
    create trigger audit after update on tasks for each row execute function audit();
    create table accepted (run_id text, account_id text, unfinished int, at timestamptz default clock_timestamp());
    create function count_accepted() returns trigger language plpgsql as $$
    begin
      insert into accepted (run_id, account_id, unfinished)
      select new.run_id, new.account_id, count(*) from runs
      where account_id = new.account_id and status in ('pending', 'running', 'waiting_human');
      return null;
    end
    $$;
    create trigger accepted after insert on runs for each row execute function count_accepted();
    create trigger accepted_again after update on runs for each row
      when (old.status = 'failed' and new.status = 'pending') execute function count_accepted();`.execute(db);
  await startQueueAudit(db);
  await startFileAudit(db);
  await startPeopleAudit(db);
  await startCallAudit(db);
}

async function startCallAudit(db: Db): Promise<void> {
  await sql`
    create table missed (run_id text, left_run_id text, left_at timestamptz, at timestamptz default clock_timestamp());
    create function look_for_left() returns trigger language plpgsql as $$
    begin
      insert into missed (run_id, left_run_id, left_at)
      select new.run_id, other.run_id, case when left_at is not null then pg_xact_commit_timestamp(other.xmin) end
      from agent_calls as other join runs using (run_id)
      where other.key_id = new.key_id and other.fingerprint = new.fingerprint and other.run_id <> new.run_id
        and answered_at is null and status not in ('failed', 'cancelled')
        and (left_at is not null or not ${listenerIsAlive(sql.ref('listener'))});
      return null;
    end
    $$;
    create trigger missed after insert on agent_calls for each row execute function look_for_left();`.execute(db);
}

async function startPeopleAudit(db: Db): Promise<void> {
  await sql`
    create table given (gate_id text, person_id text, open int, max_open int);
    create function count_given() returns trigger language plpgsql as $$
    begin
      insert into given (gate_id, person_id, open, max_open)
      select new.gate_id, person_id,
        (select count(*) from gates where gates.person_id = people.person_id and status = 'open'), max_open
      from people where person_id = new.person_id;
      return null;
    end
    $$;
    create trigger given after update of person_id on gates for each row
      when (new.person_id is distinct from old.person_id and new.person_id is not null) execute function count_given();`.execute(
    db,
  );
}

async function startQueueAudit(db: Db): Promise<void> {
  await sql`
    create table begun (
      begun_id integer generated always as identity primary key, txid text default pg_current_xact_id()::text,
      run_id text, account_id text, active int, queued_at timestamptz, start_at timestamptz, at timestamptz default now(),
      noted_at timestamptz default clock_timestamp(), is_called boolean default false);
    create function count_begun() returns trigger language plpgsql as $$
    begin
      insert into begun (run_id, account_id, active, queued_at, start_at)
      select new.run_id, new.account_id, count(*), old.queued_at, new.start_at from runs
      where account_id = new.account_id and queued_at is null and status in ('pending', 'running', 'waiting_human')
        and not exists (select from begun where begun.run_id = runs.run_id and is_called);
      return null;
    end
    $$;
    create function note_called() returns trigger language plpgsql as $$
    begin
      insert into begun (run_id, account_id, active, queued_at, is_called)
      values (new.run_id, new.account_id, 0, new.created_at, true);
      return null;
    end
    $$;
    create trigger begun_called after insert on runs for each row when (new.queued_at is null) execute function note_called();
    create trigger begun after update on runs for each row
      when (old.queued_at is not null and new.queued_at is null and new.status = 'pending') execute function count_begun();`.execute(
    db,
  );
}

async function startFileAudit(db: Db): Promise<void> {
  await sql`
    create table filed (file_id text, account_id text, files int, bytes float8);
    create function count_filed() returns trigger language plpgsql as $$
    begin
      insert into filed (file_id, account_id, files, bytes)
      select new.file_id, new.account_id, count(*), sum(size) from files where account_id = new.account_id;
      return null;
    end
    $$;
    create trigger filed after insert on files for each row execute function count_filed();`.execute(db);
}
