import { sql, type Kysely } from 'kysely';

/**
 * Knowledge bases of accounts, their documents, and the passages that these are searched by. Where the database has
 * pgvector, `makeNearestIndexes` adds the indexes of nearest neighbours.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    set local lock_timeout = '3s';
    -- Shuts out no reader.
    lock table accounts in share row exclusive mode;

    create table knowledge_bases (
      knowledge_id text primary key,
      account_id text not null references accounts on delete cascade,
      name text not null,
      description text,
      -- Whose embeddings: null is our own, by hashed words.
      provider_id text,
      embedding_model text not null,
      -- Null until the first answer of the model has told it.
      dimensions integer,
      -- Goes up when the model becomes another one: what was embedded before counts no more.
      embedding_version integer not null default 1,
      -- Goes up with every change of the base.
      version integer not null default 1,
      created_at timestamptz(3) not null default now(),
      updated_at timestamptz(3) not null default now()
    );
    create index knowledge_bases_account on knowledge_bases (account_id, created_at desc, knowledge_id desc);

    create table documents (
      document_id text primary key,
      account_id text not null references accounts on delete cascade,
      knowledge_id text not null references knowledge_bases on delete cascade,
      -- Not a reference: the file may be deleted, and what was read of it stays.
      file_id text not null,
      name text not null,
      media_type text not null,
      size integer not null,
      sha256 text not null,
      status text not null default 'pending',
      -- How often it was begun to index it: its workflow has this in its id.
      attempt integer not null default 1,
      failure text,
      pages integer,
      pages_done integer not null default 0,
      chunks integer,
      chunks_done integer not null default 0,
      created_at timestamptz(3) not null default now(),
      -- Since then it is found by searches.
      indexed_at timestamptz(3)
    );
    create index documents_knowledge on documents (knowledge_id, created_at desc, document_id desc);
    create index documents_account on documents (account_id);

    create table chunks (
      -- Not a reference: they go after their document, many at a time, which nobody waits for.
      document_id text not null,
      position integer not null,
      knowledge_id text not null,
      page integer,
      heading text,
      text text not null,
      sha256 text not null,
      -- The words that it is found by, and the id of its base: an index leads to the two together.
      search tsvector not null,
      -- A unit vector, and which version of the base's model has made it.
      embedding real[],
      -- The same as bytes, each number in the order of the network: four times as fast to read for who has no pgvector.
      floats bytea,
      embedding_version integer,
      dimensions integer generated always as (cardinality(embedding)) stored,
      primary key (document_id, position)
    );
    create index chunks_search on chunks using gin (search);
    create index chunks_knowledge on chunks (knowledge_id, document_id);
    create index chunks_same on chunks (knowledge_id, sha256) where embedding is not null;
    -- Documents that are deleted, and have chunks yet.
    create table gone_documents (document_id text primary key);
    create function note_gone_documents() returns trigger language plpgsql as 'begin return null; end';
    create trigger note_gone_documents after delete on documents referencing old table as gone
      for each statement execute function note_gone_documents();
    -- Numbers are not compressed by much, and are read faster as they are.
    alter table chunks alter column embedding set storage external, alter column floats set storage external;
  `.execute(db);
}
