-- What the login that serves may have done with schemas and roles: these functions and nothing else.
--
-- They run with the rights of the database's owner. So: they take ids, names of a closed list and numbers only, name every
-- object with its schema, and search pg_catalog first and the temporary schema last. @...@ is filled in when they are
-- installed.

CREATE SCHEMA IF NOT EXISTS novagate;
REVOKE ALL ON SCHEMA novagate FROM PUBLIC;

CREATE OR REPLACE FUNCTION novagate.installed(OUT revision bigint, OUT tenant_version bigint)
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS 'SELECT @REVISION@::bigint, @TENANT_VERSION@::bigint';

-- The name of a tenant's schema and role.
CREATE OR REPLACE FUNCTION novagate.name_of(tenant uuid) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
    AS $$ SELECT 'tenant_' || replace(tenant::text, '-', '_') $$;

-- Gives a tenant's role what it may do with the tenant's tables, and `login` the right to become it.
CREATE OR REPLACE FUNCTION novagate.secure(tenant uuid, login name) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
    AS $$
DECLARE
    own text := novagate.name_of(tenant);
    -- Named one by one: PostgreSQL finds the tables of a schema by reading all of pg_class.
    ordinary text := (SELECT string_agg(format('%I.%I', own, name), ', ') FROM unnest(ARRAY[@ORDINARY_TABLES@]) name);
    every text := format('%s, %I.audit_log, %I.seaql_migrations', ordinary, own, own);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = own) THEN
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', own);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- Another database of this server has made it at this moment.
        END;
    END IF;
    IF EXISTS (
        SELECT FROM pg_roles r WHERE r.rolname = own
            AND (r.rolcanlogin OR r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls
                OR EXISTS (SELECT FROM pg_auth_members m WHERE m.member = r.oid))
    ) THEN
        RAISE EXCEPTION 'the role of a tenant has rights beyond its schema' USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format('GRANT %I TO %I', own, login);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', own, own);
    IF EXISTS (
        SELECT FROM unnest(string_to_array(every, ', ')) name JOIN pg_class c ON c.oid = to_regclass(name)
            WHERE c.relacl IS NOT NULL
    ) THEN
        EXECUTE format('REVOKE ALL ON %s FROM %I', every, own);
    END IF;
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I', ordinary, own);
    EXECUTE format('GRANT SELECT, INSERT ON %I.audit_log TO %I', own, own);
END
$$;

-- Makes the schema, the role and the tables of a tenant that has a row in public.tenants.
CREATE OR REPLACE FUNCTION novagate.provision(tenant uuid) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
    AS $$
DECLARE
    own text := novagate.name_of(tenant);
BEGIN
    UPDATE public.tenants SET schema_version = @TENANT_VERSION@ WHERE id = tenant;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'only a registered tenant gets a schema' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('CREATE SCHEMA %I', own);
    EXECUTE format('SET LOCAL search_path = %I, pg_temp', own);
    EXECUTE $ddl$@TENANT_TABLES@$ddl$;
    SET LOCAL search_path = pg_catalog, pg_temp;
    PERFORM novagate.secure(tenant, session_user);
    RETURN @TENANT_VERSION@;
END
$$;

-- Removes the schema and the role of a tenant.
CREATE OR REPLACE FUNCTION novagate.erase(tenant uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
    AS $$
DECLARE
    own text := novagate.name_of(tenant);
BEGIN
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', own);
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = own) THEN
        BEGIN
            EXECUTE format('DROP ROLE IF EXISTS %I', own);
        EXCEPTION WHEN dependent_objects_still_exist THEN
            NULL; -- Another database of this server has a schema of this name.
        END;
    END IF;
END
$$;

-- The column that a table of telemetry is divided by; an error for any other table.
CREATE OR REPLACE FUNCTION novagate.divided_by(of_table text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    CASE of_table
        WHEN 'request_logs', 'error_events' THEN RETURN 'at';
        WHEN 'metrics_windows' THEN RETURN 'from_at';
        ELSE RAISE EXCEPTION 'no table of telemetry has this name' USING ERRCODE = 'invalid_parameter_value';
    END CASE;
END
$$;

-- Makes the partition of a table of telemetry for a day, counted from 1970; nothing when the tenant is gone.
CREATE OR REPLACE FUNCTION novagate.ensure_partition(tenant uuid, of_table text, day integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
    AS $$
DECLARE
    own text := novagate.name_of(tenant);
    part text;
    micros CONSTANT bigint := 86400000000;
BEGIN
    PERFORM novagate.divided_by(of_table);
    IF day IS NULL OR day NOT BETWEEN -36525 AND 73049 THEN
        RAISE EXCEPTION 'a day outside 1870 to 2169' USING ERRCODE = 'numeric_value_out_of_range';
    END IF;
    part := format('%s_%s', of_table, to_char(date '1970-01-01' + day, 'YYYYMMDD'));
    PERFORM pg_advisory_xact_lock(hashtextextended(own || '.' || part, 0));
    IF to_regclass(format('%I.%I', own, of_table)) IS NULL OR to_regclass(format('%I.%I', own, part)) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Attaching lets readers and writers of the other days go on.
    EXECUTE format('CREATE TABLE %I.%I (LIKE %I.%I INCLUDING ALL)', own, part, own, of_table);
    EXECUTE format('ALTER TABLE %I.%I ATTACH PARTITION %I.%I FOR VALUES FROM (%s) TO (%s)',
        own, of_table, own, part, day * micros, (day + 1) * micros);
END
$$;

-- Removes one partition whose rows are all older than `before`; answers how many rows went, nothing when none is left.
CREATE OR REPLACE FUNCTION novagate.retire_partition(tenant uuid, before bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning
    SET lock_timeout = '3s'
    AS $$
DECLARE
    own text := novagate.name_of(tenant);
    oldest text;
    gone bigint;
BEGIN
    SELECT c.relname INTO oldest
        FROM pg_class p JOIN pg_namespace n ON n.oid = p.relnamespace
            JOIN pg_inherits i ON i.inhparent = p.oid JOIN pg_class c ON c.oid = i.inhrelid
        WHERE n.nspname = own AND p.relname IN ('request_logs', 'error_events', 'metrics_windows') AND p.relkind = 'p'
            AND c.relkind = 'r' AND c.relname = p.relname || right(c.relname, 9) AND c.relname ~ '_[0-9]{8}$'
            AND (to_date(right(c.relname, 8), 'YYYYMMDD') - date '1970-01-01' + 1) * 86400000000 <= before
        ORDER BY right(c.relname, 8), c.relname LIMIT 1;
    IF oldest IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format('SELECT count(*) FROM %I.%I', own, oldest) INTO gone;
    EXECUTE format('DROP TABLE %I.%I', own, oldest);
    RETURN gone;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA novagate FROM PUBLIC;
