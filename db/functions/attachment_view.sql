-- A file that a run was given, as readers see it.
create or replace function attachment_view(file run_files) returns json language sql stable as $$
  select json_build_object('file_id', file.file_id, 'name', file.name, 'media_type', file.media_type, 'size', file.size)
$$;
