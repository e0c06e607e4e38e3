-- Adds a call of an embedding model to what its base has used: the trigger `knowledge_usage` of llm_calls, once for each call
-- that is journalled. A base that is deleted has no such row any more, and gets none.
create or replace function add_embedding_usage() returns trigger language plpgsql as $$
begin
  update knowledge_usage set
    llm_calls = llm_calls + 1,
    input_tokens = input_tokens + new.input_tokens,
    cost_usd = cost_usd + coalesce(usd(new.cost_usd), 0)
  where knowledge_id = new.knowledge_id;
  return null;
end
$$;
