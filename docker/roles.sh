#!/bin/sh
# Makes the databases of Orchflow and of Temporal, a user for each, who owns those alone, and the passwords of both. Run as
# the superuser, at each `docker compose up`: it changes nothing that is as it should be, and brings over the databases
# of 0.1.0, which were the superuser's.
set -eu

# 24 random bytes, kept. Each file lies on a volume that only its user's containers have.
make_password() {
  test -s "$1" && return
  head -c 24 /dev/urandom | od -An -vtx1 | tr -d ' \n' >"$1.new"
  mv "$1.new" "$1"
}

run_sql() {
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set "owner=$1" --dbname "$2"
}

make_user() {
  USER_PASSWORD="$(cat "$2")" run_sql "$1" postgres <<'SQL'
\getenv password USER_PASSWORD
select format('create role %I', :'owner') where not exists (select from pg_roles where rolname = :'owner') \gexec
alter role :"owner" with login nosuperuser nocreatedb nocreaterole password :'password';
SQL
}

give_database() {
  run_sql "$1" postgres <<SQL
select 'create database $2' where not exists (select from pg_database where datname = '$2') \gexec
alter database $2 owner to :"owner";
revoke all on database $2 from public;
SQL
  # What belongs to an extension stays with it, and a sequence goes with the column that it is of.
  run_sql "$1" "$2" <<'SQL' >/dev/null
select format('alter %s %s owner to %I', kind, name, :'owner')
from (
  select case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence' else 'table' end,
    oid::regclass::text, oid, 'pg_class'::regclass, relowner
  from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S')
  union all
  select 'routine', oid::regprocedure::text, oid, 'pg_proc'::regclass, proowner
  from pg_proc where pronamespace = 'public'::regnamespace
  union all
  select 'type', oid::regtype::text, oid, 'pg_type'::regclass, typowner
  from pg_type where typnamespace = 'public'::regnamespace and typtype in ('e', 'd')
) as things (kind, name, id, catalog, owner_id)
where owner_id <> :'owner'::regrole
  and not exists (select from pg_depend where classid = catalog and objid = id and deptype in ('e', 'a', 'i'))
\gexec
SQL
}

make_password "$ORCHFLOW_PASSWORD_FILE"
make_password "$TEMPORAL_PASSWORD_FILE"
make_user orchflow_app "$ORCHFLOW_PASSWORD_FILE"
make_user temporal "$TEMPORAL_PASSWORD_FILE"
give_database orchflow_app orchflow
give_database temporal temporal
give_database temporal temporal_visibility

# Only a superuser may make it; `migrate` then makes its indexes.
run_sql "$PGUSER" orchflow <<'SQL'
select 'create extension if not exists vector' from pg_available_extensions where name = 'vector' \gexec
SQL

# Nobody needs the superuser over the network: without a password it is let in only inside its own container.
run_sql "$PGUSER" postgres <<'SQL'
\getenv password POSTGRES_PASSWORD
\if :{?password}
\else
  \set password ''
\endif
alter role :"owner" with password :'password';
SQL
