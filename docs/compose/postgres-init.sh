#!/bin/sh
# Runs once, by the PostgreSQL image, when the data directory is new: what docs/operations.md has an operator do.
set -eu

psql --no-psqlrc --set ON_ERROR_STOP=1 --username postgres --dbname novagate --file /run/secrets/postgres_logins --file - <<'SQL'
ALTER DATABASE novagate OWNER TO novagate_owner;
REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM PUBLIC;
REVOKE UPDATE ON pg_catalog.pg_settings FROM PUBLIC;
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
GRANT USAGE ON LANGUAGE plpgsql TO novagate_owner;
SQL
