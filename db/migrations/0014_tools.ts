import { sql, type Kysely } from 'kysely';

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table llm_calls add column tool_calls jsonb;

    create table tool_calls (
      call_id text primary key,
      answer_id text not null,
      position integer not null,
      run_id text not null references runs on delete cascade,
      tool text not null,
      is_error boolean not null,
      created_at timestamptz(3) not null default now()
    );
    create index tool_calls_run on tool_calls (run_id);
    create index tool_calls_answer on tool_calls (answer_id, position);

    create table mcp_servers (
      account_id text not null references accounts on delete cascade,
      name text not null,
      url text,
      command text,
      args jsonb not null default '[]',
      secrets_encrypted text,
      tools jsonb not null,
      created_at timestamptz(3) not null default now(),
      primary key (account_id, name)
    );
  `.execute(db);
}
