-- What the embeddings of a base come to begins at 0: the trigger `knowledge_usage` of knowledge_bases.
create or replace function begin_knowledge_usage() returns trigger language plpgsql as $$
begin
  insert into knowledge_usage (knowledge_id) values (new.knowledge_id);
  return null;
end
$$;
