-- Notes how the indexing of a document has ended, once, and tells the account's subscriptions. `db/documents.ts` says what it
-- promises.
create or replace function finish_indexing(for_document text, for_attempt integer, reason text)
returns boolean language plpgsql as $$
declare
  done documents;
begin
  update documents set
    status = case when reason is null then 'indexed' else 'failed' end, failure = reason,
    indexed_at = case when reason is null then coalesce(indexed_at, now()) else indexed_at end
  where document_id = for_document and attempt = for_attempt and status in ('pending', 'indexing')
  returning * into done;
  if not found then
    return false;
  end if;
  perform tell_account(
    done.account_id, case when reason is null then 'knowledge.indexed' else 'knowledge.failed' end,
    done.document_id || '_' || done.attempt,
    jsonb_build_object(
      'knowledge_id', done.knowledge_id, 'document_id', done.document_id, 'name', done.name, 'status', done.status,
      'pages', done.pages, 'chunks', done.chunks, 'reason', reason));
  return true;
end
$$;
