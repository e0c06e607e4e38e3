-- Where the server has pgvector: the extension, if it may be made, and an index of nearest neighbours for each number of
-- dimensions that embedding models commonly have. True when there are such indexes. Called by every `npm run migrate`, since
-- the extension may come with a later server.
create or replace function use_pgvector() returns boolean language plpgsql as $$
declare
  size integer;
begin
  if not exists (select from pg_available_extensions where name = 'vector') then
    return false;
  end if;
  begin
    create extension if not exists vector;
  exception when insufficient_privilege then
    -- The operator's to make.
    return false;
  end;
  foreach size in array array[256, 384, 512, 768, 1024, 1536] loop
    -- Not by `if not exists`, which locks the table before it looks.
    continue when to_regclass('chunks_nearest_' || size) is not null;
    execute format(
      'create index %I on chunks using hnsw ((embedding::vector(%s)) vector_cosine_ops) where dimensions = %s',
      'chunks_nearest_' || size, size, size);
  end loop;
  return true;
end
$$;
