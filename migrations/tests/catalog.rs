//! Both lists of migrations on an empty SQLite database: which tables come out, and that running them again changes nothing.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use novagate_migrations::{PlatformMigrator, TenantMigrator};

use sea_orm_migration::MigratorTrait;
use sea_orm_migration::sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};

async fn empty() -> DatabaseConnection {
    let mut options = ConnectOptions::new("sqlite::memory:");
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

async fn names(db: &DatabaseConnection, sql: &'static str) -> Vec<String> {
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
    rows.into_iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect()
}

async fn tables(db: &DatabaseConnection) -> Vec<String> {
    names(db, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name").await
}

#[tokio::test]
async fn the_platform_has_exactly_the_promised_tables_and_the_ledger() {
    let db = empty().await;
    PlatformMigrator::up(&db, None).await.unwrap();
    PlatformMigrator::up(&db, None).await.unwrap();
    assert_eq!(tables(&db).await, ["api_keys", "pending_config_updates", "plans", "seaql_migrations", "tenants"]);
}

#[tokio::test]
async fn a_platform_of_the_first_version_keeps_its_rows() {
    let db = empty().await;
    PlatformMigrator::up(&db, Some(1)).await.unwrap();
    let plan = "INSERT INTO plans (id, name, services, routes, consumers, config_bytes, nodes, log_rows_per_second)
        VALUES (x'01', 'free', 1, 1, 1, 1, 1, 1)";
    let tenant =
        "INSERT INTO tenants (id, name, email_key, state, plan_id, token_generation, schema_version, created_at,
        updated_at) VALUES (x'02', 'Acme', 'ada@example.org', 'active', x'01', 0, 3, 0, 0)";
    for statement in [plan, tenant] {
        db.execute_unprepared(statement).await.unwrap();
    }
    PlatformMigrator::up(&db, None).await.unwrap();
    // As a control node of the version before goes on writing.
    db.execute_unprepared(&tenant.replace("x'02'", "x'03'").replace("ada", "bob")).await.unwrap();
    let kept = "SELECT name FROM tenants WHERE claim_key IS NULL AND claim_request IS NULL";
    assert_eq!(names(&db, kept).await, ["Acme", "Acme"]);
}

#[tokio::test]
async fn a_tenant_has_the_promised_tables_and_no_tenant_column() {
    let db = empty().await;
    TenantMigrator::up(&db, None).await.unwrap();
    TenantMigrator::up(&db, None).await.unwrap();
    let found = tables(&db).await;
    for promised in [
        "routes",
        "services",
        "consumers",
        "consumer_keys",
        "revisions",
        "request_logs",
        "error_events",
        "health_snapshots",
        "metrics_windows",
        "audit_log",
    ] {
        assert!(found.iter().any(|name| name == promised), "{promised}");
    }
    let columns = names(
        &db,
        "SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'",
    )
    .await;
    assert!(columns.len() > 100);
    assert!(!columns.iter().any(|column| column.contains("tenant")), "{columns:?}");
}

#[tokio::test]
async fn a_word_outside_its_list_is_refused() {
    let db = empty().await;
    TenantMigrator::up(&db, None).await.unwrap();
    let insert = "INSERT INTO revisions (seq, epoch, digest, kind, actor, at, changes) VALUES (1, 1, x'00', 'x', 'system', 0, '')";
    assert!(db.execute_unprepared(insert).await.is_err());
}
