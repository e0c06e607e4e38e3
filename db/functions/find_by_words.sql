-- The passages of a base that these words are in, the best first: a word counts the more, the fewer passages have it. Which ones are
-- compared is decided by the rarest words, so that one that is everywhere costs nothing; the others count in them too. The id of the base is
-- among the lexemes of each of its passages: the index leads to the two together. `db/chunk-search.ts` says what it promises.
create or replace function find_by_words(for_base text, words text[], most integer)
returns table (document_id text, "position" integer, score double precision) language plpgsql stable as $$
#variable_conflict use_column
declare
  -- So many passages are looked at to tell how common words are, and to begin with, in those of each document.
  sampled constant integer := 1000;
  -- So many are compared, and so many more of a single word.
  enough constant integer := 1000;
  of_base constant tsquery := quote_literal(for_base)::tsquery;
  documents_found integer;
  total double precision;
  asked tsquery[];
  looked_at integer;
  compared integer := 0;
  wanted tsquery;
  terms tsquery[] := '{}';
  weights double precision[] := '{}';
  term record;
begin
  select count(*), sum(chunks) into documents_found, total from documents where knowledge_id = for_base and chunks > 0;
  select array_agg(quote_literal(lexeme)::tsquery) into asked
  from unnest(tsvector_to_array(to_tsvector('pg_catalog.english', array_to_string(words, ' ')))) as lexeme;
  if asked is null or documents_found = 0 then
    return;
  end if;
  for term in
    with sample as materialized (
      select search
      from documents,
      lateral (
        select search from chunks
        where chunks.document_id = documents.document_id and position <= ceil(sampled::float8 / documents_found)
      ) as first_ones
      where knowledge_id = for_base
      limit sampled
    ),
    size as (select count(*) as size from sample)
    select query,
      case
        -- Common enough to be told by the sample, or there are no more than that.
        when in_sample >= 10 or size >= total then in_sample * total / size
        else (
          select count(*) from (
            select from chunks where search @@ (of_base && query) limit enough) as having_it)
      end as found
    from unnest(asked) as query, size,
    lateral (select count(*) as in_sample from sample where search @@ query) as counted
    order by found
  loop
    continue when term.found = 0;
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
      limit 5 * enough
    ) as near,
    lateral (
      select sum(weight * ts_rank(search, query, 1)) as rank from unnest(terms, weights) as asked (query, weight)
    ) as ranked
    order by rank desc, document_id collate "C", position
    limit most;
end
$$;
