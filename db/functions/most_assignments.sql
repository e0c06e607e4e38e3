-- How often it may change whose a gate is, by itself and by people's own keys.
create or replace function most_assignments() returns integer language sql immutable as 'select 100';
