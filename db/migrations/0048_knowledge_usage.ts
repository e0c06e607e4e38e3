import { sql, type Kysely } from 'kysely';

/** What the embeddings of a knowledge base have come to, whatever becomes of the journal of their calls. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    -- In the order in which requests lock them.
    lock table knowledge_bases in share row exclusive mode;
    lock table llm_calls in access exclusive mode;

    alter table llm_calls add column knowledge_id text;
    update llm_calls set knowledge_id = documents.knowledge_id from documents
      where purpose = 'embed_chunks' and document_id = split_part(call_id, '/', 1);

    -- Apart from the bases: each paid call writes the row anew, and whoever indexes holds the base.
    create table knowledge_usage (
      knowledge_id text primary key references knowledge_bases on delete cascade,
      llm_calls bigint not null default 0,
      input_tokens bigint not null default 0,
      cost_usd numeric not null default 0
    );
    insert into knowledge_usage (knowledge_id, llm_calls, input_tokens, cost_usd)
      select knowledge_id, count(paid.call_id), coalesce(sum(input_tokens), 0),
        -- As usd() does.
        coalesce(trim_scale(sum(round(cost_usd::numeric, 9))), 0)
      from knowledge_bases left join llm_calls as paid using (knowledge_id)
      group by knowledge_id;
    create function begin_knowledge_usage() returns trigger language plpgsql as 'begin return null; end';
    create trigger knowledge_usage after insert on knowledge_bases for each row execute function begin_knowledge_usage();
    create function add_embedding_usage() returns trigger language plpgsql as 'begin return null; end';
    create trigger knowledge_usage after insert on llm_calls for each row
      when (new.knowledge_id is not null) execute function add_embedding_usage();

    -- What is of no run goes by its age.
    create index llm_calls_of_no_run on llm_calls (created_at) where run_id is null;
    create index webhook_deliveries_of_no_run on webhook_deliveries (created_at) where run_id is null;
  `.execute(db);
}
