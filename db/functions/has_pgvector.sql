-- Whether this database has pgvector, where names are looked for, and new enough: 0.8 is the first whose index goes on where a filter leaves
-- too few.
create or replace function has_pgvector() returns boolean language sql stable as $$
  select exists (
    select from pg_extension
    where extname = 'vector' and to_regtype('vector') is not null
      and string_to_array(substring(extversion from '^[0-9]+\.[0-9]+'), '.')::integer[] >= array[0, 8])
$$;
