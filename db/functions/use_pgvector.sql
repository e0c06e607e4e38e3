-- Makes the extension where the server has pgvector and it may be made; says whether it can be used. Called by every `npm run migrate`, since
-- it may come with a later server.
create or replace function use_pgvector() returns boolean language plpgsql as $$
begin
  if exists (select from pg_available_extensions where name = 'vector') then
    begin
      create extension if not exists vector;
    exception when insufficient_privilege then
      -- The operator's to make.
      return false;
    end;
  end if;
  return has_pgvector();
end
$$;
