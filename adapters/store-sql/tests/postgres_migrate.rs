//! Bringing databases to this version, and refusing those of another one.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "support/postgres.rs"]
mod postgres;

use std::process::{Command, Stdio};
use std::sync::Arc;

use novagate_access::TenantScope;
use novagate_documents::stored::JsonObjectCodec;
use novagate_fixtures::{Mint, START, new_tenant};
use novagate_kernel::TenantId;
use novagate_ports_base::{FaultKind, PortError};
use novagate_ports_control::outbound::{ConfigStore as _, Inserted, TenantStore as _};
use novagate_services::{PATIENCE, wait_until};
use novagate_store_sql::{PostgresOwner, PostgresSettings, SqlStore, TenantsAt};
use postgres::Prepared;

/// An error with its causes.
fn chain(error: &PortError) -> String {
    let mut text = error.to_string();
    let mut cause: Option<&dyn std::error::Error> = Some(error.source.as_ref());
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

async fn tenants(store: &SqlStore, mint: &Mint, count: usize) -> Vec<TenantScope> {
    let mut scopes = Vec::new();
    for _ in 0..count {
        let (scope, fresh) = new_tenant(mint, START);
        assert_eq!(store.provision(&scope, &fresh).await.unwrap(), Inserted::New);
        scopes.push(scope);
    }
    scopes
}

fn set_version(prepared: &Prepared, tenant: TenantId, version: i64) {
    prepared.ask(&format!("UPDATE tenants SET schema_version = {version} WHERE id = '{tenant}'"));
}

/// As a restored tenant of version 0.
fn empty_schema(prepared: &Prepared, tenant: TenantId) {
    let name = tenant.schema_name();
    prepared.database().sql(&[
        &format!("DROP SCHEMA {name} CASCADE"),
        &format!("CREATE SCHEMA {name} AUTHORIZATION novagate_owner"),
        &format!("UPDATE tenants SET schema_version = 0 WHERE id = '{tenant}'"),
    ]);
}

#[tokio::test]
async fn a_serving_login_refuses_a_database_that_is_not_migrated_and_says_what_to_do() {
    let Some(prepared) = Prepared::bare() else { return };
    let error = prepared.try_open().await.err().unwrap();
    assert_eq!(error.kind, FaultKind::Unavailable);
    assert!(chain(&error).ends_with("run novagate-control migrate"), "{}", chain(&error));
    let owner = prepared.owner().await;
    let status = owner.status().await.unwrap();
    assert!(!status.is_current() && !status.functions_current && status.tenants.is_empty());
    assert_eq!(status.platform_missing, ["m0001_accounts", "m0002_claims"]);
    assert!(owner.may_migrate().await.unwrap());
    owner.migrate().await.unwrap();
    assert!(owner.status().await.unwrap().is_current());
    prepared.open().await;
}

#[tokio::test]
async fn a_prepared_database_has_no_gaps_and_an_unprepared_one_is_told_about_its_own() {
    let Some(prepared) = Prepared::migrated() else { return };
    let owner = prepared.owner().await;
    assert_eq!(owner.status().await.unwrap().hints, [""; 0]);
    prepared.database().sql(&[
        "GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) TO PUBLIC",
        "GRANT CREATE ON SCHEMA public TO novagate_app",
    ]);
    let hints = owner.status().await.unwrap().hints;
    assert_eq!(hints.len(), 2, "{hints:?}");
    assert!(hints[0].contains("set_config") && hints[1].contains("tables in public"));
}

#[tokio::test]
async fn a_login_that_owns_the_database_migrates_and_serves_alone() {
    let Some(prepared) = Prepared::bare() else { return };
    let url = prepared.owner_url();
    let owner = PostgresOwner::connect(&url, &url).await.unwrap();
    assert!(owner.may_migrate().await.unwrap());
    owner.migrate().await.unwrap();
    let store = SqlStore::open_postgres(PostgresSettings::new(url), Arc::new(JsonObjectCodec)).await.unwrap();
    let scopes = tenants(&store, &Mint::new(prepared.seed()), 2).await;
    assert!(store.load(&scopes[0]).await.unwrap().is_some());
    store.erase(&scopes[1]).await.unwrap();
    assert_eq!(store.head(&scopes[1]).await.unwrap(), None);
}

#[tokio::test]
async fn the_serving_login_may_not_migrate() {
    let Some(prepared) = Prepared::migrated() else { return };
    let url = prepared.serving_url();
    let serving = PostgresOwner::connect(&url, &url).await.unwrap();
    assert!(!serving.may_migrate().await.unwrap());
}

#[tokio::test]
async fn a_newer_tenant_is_refused_and_the_others_are_served() {
    let Some(prepared) = Prepared::migrated() else { return };
    let store = prepared.open().await;
    let scopes = tenants(&store, &Mint::new(prepared.seed()), 2).await;
    set_version(&prepared, scopes[0].tenant(), 4);
    let error = store.head(&scopes[0]).await.unwrap_err();
    assert_eq!(error.kind, FaultKind::Unavailable);
    let text = chain(&error);
    assert!(text.contains(&scopes[0].tenant().schema_name()), "{text}");
    assert!(text.ends_with("the schema has version 4; this program knows versions up to 3"), "{text}");
    assert!(store.head(&scopes[1]).await.unwrap().is_some());
    prepared.open().await;
    let owner = prepared.owner().await;
    assert_eq!(owner.migrate().await.unwrap().newer, 1);
    let expected = [TenantsAt { version: 3, tenants: 1 }, TenantsAt { version: 4, tenants: 1 }];
    assert_eq!(owner.status().await.unwrap().tenants, expected);
}

#[tokio::test]
async fn a_tenant_that_lacks_a_needed_step_is_refused_until_it_is_migrated() {
    let Some(prepared) = Prepared::migrated() else { return };
    let store = prepared.open().await;
    let scopes = tenants(&store, &Mint::new(prepared.seed()), 2).await;
    empty_schema(&prepared, scopes[0].tenant());
    let error = store.head(&scopes[0]).await.unwrap_err();
    assert_eq!(error.kind, FaultKind::Unavailable);
    assert!(chain(&error).ends_with("run novagate-control migrate"), "{}", chain(&error));
    assert!(store.head(&scopes[1]).await.unwrap().is_some());
    let report = prepared.owner().await.migrate().await.unwrap();
    assert_eq!((report.migrated, report.failed.len()), (1, 0), "{:?}", report.failed);
    assert_eq!(store.head(&scopes[0]).await.unwrap(), None, "an empty schema has no head");
}

#[tokio::test]
async fn a_platform_that_a_newer_program_migrated_is_refused() {
    let Some(prepared) = Prepared::migrated() else { return };
    prepared.ask("INSERT INTO seaql_migrations VALUES ('m0002_later', 0)");
    let error = prepared.try_open().await.err().unwrap();
    assert_eq!(error.kind, FaultKind::Unavailable);
    assert!(chain(&error).contains("a migration that this program does not know"), "{}", chain(&error));
    assert_eq!(prepared.owner().await.migrate().await.unwrap_err().kind, FaultKind::Corrupt);
}

#[tokio::test]
async fn functions_of_an_older_version_are_refused_and_replaced() {
    let Some(prepared) = Prepared::migrated() else { return };
    prepared.ask(
        "CREATE OR REPLACE FUNCTION novagate.installed(OUT revision bigint, OUT tenant_version bigint)
         LANGUAGE sql AS 'SELECT 0::bigint, 0::bigint'",
    );
    assert_eq!(prepared.try_open().await.err().unwrap().kind, FaultKind::Unavailable);
    let owner = prepared.owner().await;
    assert!(!owner.status().await.unwrap().functions_current);
    owner.migrate().await.unwrap();
    prepared.open().await;
}

#[tokio::test]
async fn another_serving_login_is_admitted_to_every_tenant_by_a_migration() {
    let Some(prepared) = Prepared::migrated() else { return };
    let scopes = tenants(&prepared.open().await, &Mint::new(prepared.seed()), 3).await;
    let login = format!("serving_{}", prepared.seed());
    prepared.ask(&format!("CREATE ROLE {login} LOGIN NOINHERIT PASSWORD 'testing'"));
    let url = prepared.database().url_as(&login, "testing");
    let owner = PostgresOwner::connect(&prepared.owner_url(), &url).await.unwrap();
    assert_eq!(owner.status().await.unwrap().unreachable, 3);
    assert_eq!(owner.migrate().await.unwrap().migrated, 3);
    assert_eq!(owner.status().await.unwrap().unreachable, 0);
    assert_eq!(owner.migrate().await.unwrap().migrated, 0, "there is nothing left to do");
    let store = SqlStore::open_postgres(PostgresSettings::new(url), Arc::new(JsonObjectCodec)).await.unwrap();
    assert!(store.head(&scopes[2]).await.unwrap().is_some());
    drop(store);
    prepared.database().sql(&[&format!("DROP OWNED BY {login}")]);
}

const CHILD: &str = "NOVAGATE_STORE_SQL_MIGRATES";

/// Not a test by itself: migrates until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_migrates_until_it_is_killed() {
    let Ok(urls) = std::env::var(CHILD) else { return };
    let (owner, serving) = urls.split_once(' ').unwrap();
    PostgresOwner::connect(owner, serving).await.unwrap().migrate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_is_killed_leaves_whole_schemas_and_goes_on_from_there() {
    let Some(prepared) = Prepared::migrated() else { return };
    let store = prepared.open().await;
    let scopes = tenants(&store, &Mint::new(prepared.seed()), 60).await;
    for scope in &scopes {
        empty_schema(&prepared, scope.tenant());
    }
    let count = || prepared.ask("SELECT count(*) FROM tenants WHERE schema_version = 3").parse::<usize>().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_migrates_until_it_is_killed"])
        .env(CHILD, format!("{} {}", prepared.owner_url(), prepared.serving_url()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("some schemas are migrated", PATIENCE, || count() >= 5);
    child.kill().unwrap();
    child.wait().unwrap();
    // The server ends what the dead process had begun.
    wait_until("nobody migrates", PATIENCE, || {
        prepared.ask(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'novagate_owner'",
        ) == "0"
    });
    let done = count();
    assert!((5..60).contains(&done), "{done} of 60");
    let tables = prepared.ask(
        "SELECT string_agg(DISTINCT tables::text, ',') FROM (SELECT count(c.oid) AS tables FROM pg_namespace n
         LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p') WHERE nspname LIKE 'tenant\\_%' GROUP BY n.oid) s",
    );
    assert_eq!(tables, "0,16", "none is there in part");
    let report = prepared.owner().await.migrate().await.unwrap();
    assert_eq!((report.migrated, report.failed.len()), (60 - done as u64, 0));
    assert_eq!(count(), 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_migrations_at_once_do_no_harm() {
    let Some(prepared) = Prepared::bare() else { return };
    let (one, other) = (prepared.owner().await, prepared.owner().await);
    let (first, second) = tokio::join!(one.migrate(), other.migrate());
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    let store = prepared.open().await;
    for scope in tenants(&store, &Mint::new(prepared.seed()), 8).await {
        empty_schema(&prepared, scope.tenant());
    }
    let (first, second) = tokio::join!(one.migrate(), other.migrate());
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.failed.is_empty() && second.failed.is_empty(), "{:?} {:?}", first.failed, second.failed);
    assert!(one.status().await.unwrap().is_current());
}
