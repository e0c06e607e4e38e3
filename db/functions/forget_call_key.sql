-- The key of a model that came with a call goes, with its address, when its run has ended, however that came: the trigger `call_keys` of runs.
create or replace function forget_call_key() returns trigger language plpgsql as $$
begin
  update providers set status = 'inactive', api_key_encrypted = null, base_url = null where run_id = new.run_id;
  return null;
end
$$;
