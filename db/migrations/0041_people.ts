import { sql, type Kysely } from 'kysely';

/** People, with skills and a key of their own; and gates that ask for skills, and are assigned to people. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    lock table api_keys, tasks, gates in access exclusive mode;
    -- Shuts out no reader.
    lock table accounts, runs in share row exclusive mode;

    create table people (
      person_id text primary key,
      account_id text not null references accounts on delete cascade,
      name text not null,
      email text,
      skills text[] not null default '{}',
      notify_url text,
      max_open integer,
      status text not null default 'active',
      given_at timestamptz,
      created_at timestamptz(3) not null default now()
    );
    create index people_account on people (account_id, created_at desc, person_id desc);

    -- A person has one key, which goes with them.
    alter table api_keys add foreign key (person_id) references people on delete cascade;
    create unique index api_keys_person on api_keys (person_id) where person_id is not null;

    alter table tasks add column skills text[];

    -- The person is no reference: what is answered stays as it was, whoever is removed.
    alter table gates
      -- No reference: it goes with its run, and whoever deletes an account would look through all gates that there were.
      add column account_id text,
      add column person_id text,
      add column skills text[] not null default '{}',
      add column assignment text,
      add column assigned_at timestamptz,
      add column assigned_by jsonb,
      add column assignment_note text,
      add column assigned_times integer not null default 0,
      add column escalated_due_at timestamptz(3);
    update gates set account_id = runs.account_id from runs where runs.run_id = gates.run_id and gates.status = 'open';
    -- Whatever of these is answered leaves the index, so that what waits is found however much has waited before.
    create index gates_waiting on gates (account_id, coalesce(due_at, 'infinity'::timestamptz), opened_at, gate_id)
      where status = 'open';
    create index gates_of_person on gates (person_id, coalesce(due_at, 'infinity'::timestamptz), opened_at, gate_id)
      where status = 'open' and person_id is not null;
    create index gates_of_nobody on gates (account_id, coalesce(due_at, 'infinity'::timestamptz), opened_at, gate_id)
      where status = 'open' and person_id is null and skills <> '{}';

    -- Rows are only added, so that nobody waits for another who frees a place at the same time.
    create table assignment_looks (look_id bigint generated always as identity primary key, account_id text not null);
    create function ask_for_look() returns trigger language plpgsql as 'begin return null; end';
    create trigger assignment_looks after insert or update of skills, status, max_open or delete on people
      for each row execute function ask_for_look();
    create trigger assignment_looks after update on gates for each row
      when (old.person_id is not null and old.status = 'open'
        and (new.status <> 'open' or new.person_id is distinct from old.person_id))
      execute function ask_for_look();
  `.execute(db);
}
