-- The passages of a base that these words are in, the best first: a word counts the more, the fewer passages have it. Which ones are
-- compared is decided by the rarest words, so that one that is everywhere costs nothing; the others count in them too. The id of the base is
-- among the lexemes of each of its passages: the index leads to the two together. `db/chunk-search.ts` says what it promises.
create or replace function find_by_words(for_base text, words text[], most integer)
returns table (document_id text, "position" integer, score double precision) language plpgsql stable as $$
#variable_conflict use_column
declare
  -- So many passages are compared, or those of one word, of which there may be more.
  enough constant integer := 3000;
  most_of_one constant integer := 20000;
  of_base constant tsquery := quote_literal(for_base)::tsquery;
  total double precision;
  compared integer := 0;
  wanted tsquery;
  terms tsquery[] := '{}';
  weights double precision[] := '{}';
  term record;
begin
  select sum(chunks) into total from documents where knowledge_id = for_base;
  for term in
    select query, found
    from (
      select quote_literal(lexeme)::tsquery as query
      from unnest(tsvector_to_array(to_tsvector('pg_catalog.english', array_to_string(words, ' ')))) as lexeme
    ) as asked,
    lateral (
      select count(*) as found from (
        select from chunks where search @@ (of_base && query) limit most_of_one) as having_it
    ) as counted
    where found > 0
    order by found
  loop
    terms := terms || term.query;
    weights := weights || ln(1 + total / term.found);
    if wanted is null or compared + term.found <= enough then
      wanted := coalesce(wanted || term.query, term.query);
      compared := compared + term.found;
    end if;
  end loop;
  if wanted is null then
    return;
  end if;
  return query
    select document_id, position, rank
    from (
      select document_id, position, search from chunks
      where search @@ (of_base && wanted) and knowledge_id = for_base
        and document_id in (
          select document_id from documents where knowledge_id = for_base and indexed_at is not null)
      limit most_of_one
    ) as near,
    lateral (
      select sum(weight * ts_rank(search, query, 1)) as rank from unnest(terms, weights) as asked (query, weight)
    ) as ranked
    order by rank desc, document_id, position
    limit most;
end
$$;
