-- The files that a run was given at a gate, or, for '', with its goal, as readers see them.
create or replace function attachments_view(for_run text, for_gate text) returns json language sql stable as $$
  select coalesce(json_agg(attachment_view(run_files) order by position), '[]')
  from run_files where run_id = for_run and gate_id = for_gate
$$;
