-- Notes the documents that a statement has deleted, also with their account: the trigger of `documents`. Their chunks are taken away by
-- who finds them noted (`removeGoneChunks` in `db/chunks.ts`).
create or replace function note_gone_documents() returns trigger language plpgsql as $$
begin
  insert into gone_documents (document_id) select document_id from gone on conflict do nothing;
  return null;
end
$$;
