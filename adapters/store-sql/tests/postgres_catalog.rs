//! What lies in a database, as its catalog tells: schemas, owners, tables, rights.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/postgres.rs"]
mod postgres;

use futures_util::future::join_all;
use novagate_fixtures::{Mint, START, new_tenant};
use novagate_kernel::TenantId;
use novagate_ports_control::outbound::{Inserted, TenantStore as _};
use postgres::{OWNER, Prepared, SERVING};

const TABLES: [&str; 15] = [
    "audit_log",
    "config_head",
    "consumer_keys",
    "consumers",
    "error_events",
    "health_snapshots",
    "idempotency",
    "metrics_windows",
    "nodes",
    "object_versions",
    "request_logs",
    "revisions",
    "routes",
    "services",
    "telemetry_cursors",
];

/// The lines of an answer.
fn lines(text: &str) -> Vec<String> {
    text.lines().map(ToOwned::to_owned).collect()
}

async fn provision(prepared: &Prepared, count: usize) -> Vec<TenantId> {
    let (store, mint) = (prepared.open().await, Mint::new(prepared.seed()));
    let fresh: Vec<_> = (0..count).map(|_| new_tenant(&mint, START)).collect();
    let outcomes = join_all(fresh.iter().map(|(scope, new)| store.provision(scope, new))).await;
    assert!(outcomes.into_iter().all(|outcome| outcome.unwrap() == Inserted::New));
    fresh.iter().map(|(scope, _)| scope.tenant()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_t1_twenty_tenants_registered_at_once_have_a_schema_each() {
    let Some(prepared) = Prepared::migrated() else { return };
    let tenants = provision(&prepared, 20).await;
    let mut expected: Vec<String> = tenants.iter().map(|tenant| format!("{}|{OWNER}", tenant.schema_name())).collect();
    expected.sort();
    let schemas = prepared.ask(
        "SELECT nspname, pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname LIKE 'tenant\\_%' ORDER BY nspname COLLATE \"C\"",
    );
    assert_eq!(lines(&schemas), expected);
    for tenant in tenants {
        let name = tenant.schema_name();
        let tables = prepared.ask(&format!(
            "SELECT c.relname, pg_get_userbyid(c.relowner) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
             WHERE nspname = '{name}' AND relkind IN ('r', 'p') AND relname <> 'seaql_migrations' ORDER BY relname COLLATE \"C\""
        ));
        assert_eq!(lines(&tables), TABLES.map(|table| format!("{table}|{OWNER}")), "{name}");
        let role = prepared.ask(&format!(
            "SELECT rolcanlogin, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = '{name}'"
        ));
        assert_eq!(role, "f|f|f|f|f|f");
        let members = prepared.ask(&format!(
            "SELECT pg_get_userbyid(m.member) FROM pg_auth_members m WHERE pg_get_userbyid(m.roleid) = '{name}'"
        ));
        assert_eq!(members, SERVING);
    }
}

#[tokio::test]
async fn promise_t2_a_tenants_role_may_use_its_own_schema_and_nothing_else() {
    let Some(prepared) = Prepared::migrated() else { return };
    let tenants = provision(&prepared, 3).await;
    let name = tenants[0].schema_name();
    let schemas = prepared.ask(&format!(
        "SELECT nspname FROM pg_namespace WHERE has_schema_privilege('{name}', oid, 'USAGE') AND nspname NOT LIKE 'pg\\_%'
         AND nspname <> 'information_schema'"
    ));
    assert_eq!(schemas, name);
    let rights = |table: &str| {
        prepared.ask(&format!(
            "SELECT string_agg(r, ',') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) r
             WHERE has_table_privilege('{name}', '{name}.{table}', r)"
        ))
    };
    for table in TABLES {
        let expected = if table == "audit_log" { "SELECT,INSERT" } else { "SELECT,INSERT,UPDATE,DELETE" };
        assert_eq!(rights(table), expected, "{table}");
    }
    assert_eq!(rights("seaql_migrations"), "");
    let functions = prepared.ask(&format!(
        "SELECT count(*) FROM pg_proc WHERE pronamespace = 'novagate'::regnamespace AND has_function_privilege('{name}', oid, 'EXECUTE')"
    ));
    assert_eq!(functions, "0");
}

#[tokio::test]
async fn the_serving_login_may_neither_make_roles_nor_schemas_nor_tables() {
    let Some(prepared) = Prepared::migrated() else { return };
    let rights = prepared.ask(&format!(
        "SELECT rolsuper, rolcreaterole, rolcreatedb, rolinherit, has_database_privilege(oid, current_database(), 'CREATE'),
            has_database_privilege(oid, current_database(), 'TEMP'), has_schema_privilege(oid, 'public', 'CREATE'),
            has_schema_privilege(oid, 'novagate', 'CREATE') FROM pg_roles WHERE rolname = '{SERVING}'"
    ));
    assert_eq!(rights, "f|f|f|f|f|f|f|f");
    let functions = prepared.ask(&format!(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'novagate'::regnamespace AND has_function_privilege('{SERVING}', oid, 'EXECUTE')
         ORDER BY proname COLLATE \"C\""
    ));
    assert_eq!(lines(&functions), ["ensure_partition", "erase", "installed", "provision", "retire_partition"]);
}

#[tokio::test]
async fn promise_t3_public_holds_the_promised_tables_and_the_ledger_and_nothing_else() {
    let Some(prepared) = Prepared::migrated() else { return };
    provision(&prepared, 2).await;
    let relations = prepared.ask(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind NOT IN ('i', 'I')
         ORDER BY relname COLLATE \"C\"",
    );
    let expected = ["api_keys", "pending_config_updates", "plans", "seaql_migrations", "tenants"];
    assert_eq!(lines(&relations), expected);
    assert_eq!(prepared.ask("SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"), "0");
    let elsewhere = prepared.ask(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p', 'v', 'm', 'S')
         AND nspname NOT IN ('public', 'pg_catalog', 'information_schema', 'pg_toast') AND nspname NOT LIKE 'tenant\\_%'",
    );
    assert_eq!(elsewhere, "0");
}

#[tokio::test]
async fn promise_t4_logs_routes_services_and_consumers_are_the_tenants_own_and_no_table_has_a_tenant_column() {
    let Some(prepared) = Prepared::migrated() else { return };
    provision(&prepared, 1).await;
    let columns = prepared.ask(
        "SELECT count(*) FILTER (WHERE attname LIKE '%tenant%'), count(*) > 100 FROM pg_attribute a
         JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
         WHERE nspname LIKE 'tenant\\_%' AND relkind IN ('r', 'p')",
    );
    assert_eq!(columns, "0|t");
    for table in ["request_logs", "error_events", "metrics_windows", "routes", "services", "consumers", "consumer_keys"]
    {
        let homes = prepared.ask(&format!(
            "SELECT string_agg(DISTINCT left(nspname, 7), ',') FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
             WHERE relname = '{table}'"
        ));
        assert_eq!(homes, "tenant_", "{table}");
    }
}

/// Everything the catalog knows of a schema, without the schema's name.
fn shape(prepared: &Prepared, schema: &str) -> String {
    let columns = format!(
        "SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, coalesce(pg_get_expr(d.adbin, d.adrelid), '')
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
         WHERE c.relnamespace = '{schema}'::regnamespace AND a.attnum > 0 ORDER BY 1, 2"
    );
    let constraints = format!(
        "SELECT conrelid::regclass, conname, contype, pg_get_constraintdef(oid) FROM pg_constraint
         WHERE connamespace = '{schema}'::regnamespace ORDER BY 1, 2"
    );
    let indexes =
        format!("SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = '{schema}' ORDER BY 1, 2");
    let tables = format!(
        "SELECT relname, relkind, relacl, coalesce(pg_get_partkeydef(oid), '') FROM pg_class WHERE relnamespace = '{schema}'::regnamespace ORDER BY 1"
    );
    let rights = format!("SELECT nspacl FROM pg_namespace WHERE nspname = '{schema}'");
    let ledger = format!("SELECT version FROM {schema}.seaql_migrations ORDER BY 1");
    prepared.database().sql(&[&columns, &constraints, &indexes, &tables, &rights, &ledger]).replace(schema, "X")
}

#[tokio::test]
async fn a_schema_is_the_same_whether_it_was_provisioned_or_migrated() {
    let Some(prepared) = Prepared::migrated() else { return };
    let tenants = provision(&prepared, 2).await;
    let [provisioned, migrated] = [tenants[0].schema_name(), tenants[1].schema_name()];
    // As a restored tenant of version 0: an empty schema and no role.
    prepared.database().sql(&[
        &format!("DROP SCHEMA {migrated} CASCADE"),
        &format!("DROP ROLE {migrated}"),
        &format!("CREATE SCHEMA {migrated} AUTHORIZATION {OWNER}"),
        &format!("UPDATE tenants SET schema_version = 0 WHERE id = '{}'", tenants[1]),
    ]);
    let owner = prepared.owner().await;
    let report = owner.migrate().await.unwrap();
    assert_eq!((report.migrated, report.failed.len()), (1, 0), "{:?}", report.failed);
    assert_eq!(prepared.ask(&format!("SELECT schema_version FROM tenants WHERE id = '{}'", tenants[1])), "3");
    let (provisioned, migrated) = (shape(&prepared, &provisioned), shape(&prepared, &migrated));
    assert!(provisioned.contains("services_name") && provisioned.lines().count() > 150);
    assert_eq!(provisioned, migrated);
}
