-- How often it may change whose a gate is.
create or replace function most_assignments() returns integer language sql immutable as 'select 100';
