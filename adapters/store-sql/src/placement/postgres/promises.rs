//! What a tenant's transaction can reach, tried with statements of an attacker's choice inside it, and what a connection
//! carries over to its next user.

use std::sync::Arc;
use std::time::Duration;

use novagate_access::TenantScope;
use novagate_fixtures::{ConfigModel, Mint, Polled, START, audit_entry, log_entry, logs, new_tenant};
use novagate_kernel::{ObjectKind, TenantId};
use novagate_ports_control::outbound::{
    AuditStore as _, Commit, ConfigStore as _, GatewayKeyStore as _, TelemetryStore as _, TenantStore as _,
};
use novagate_records::AuditAction;
use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, Statement};

use super::PostgresPlacement;
use crate::error::StoreError;
use crate::placement::{Mode, Placement as _, TenantTx};
use crate::{PostgresSettings, SqlStore};

#[path = "../../../tests/support/postgres.rs"]
mod support;

use support::Prepared;

struct World {
    mint: Mint,
    /// Over the placement that is looked at.
    store: SqlStore,
    placement: Arc<PostgresPlacement>,
    /// Another store over the same database.
    beside: SqlStore,
    _prepared: Prepared,
}

/// `None` where tests with servers are left out. The placement has `connections`.
async fn world(connections: u32) -> Option<World> {
    let prepared = Prepared::migrated()?;
    // A connection that was lost for ever is told apart from one that a busy server takes its time to replace.
    let acquire_timeout = Duration::from_secs(30);
    let settings = PostgresSettings { max_connections: connections, acquire_timeout, ..prepared.settings() };
    let placement = Arc::new(PostgresPlacement::open(&settings).await.map_err(|error| error.0).unwrap());
    let beside = prepared.open().await;
    let store = SqlStore::over(Arc::clone(&placement) as _);
    Some(World { mint: Mint::new(prepared.seed()), store, placement, beside, _prepared: prepared })
}

impl World {
    async fn tenant(&self) -> (TenantScope, ConfigModel) {
        let (scope, fresh) = new_tenant(&self.mint, START);
        self.beside.provision(&scope, &fresh).await.unwrap();
        (scope, ConfigModel::empty(fresh.head))
    }

    async fn enter(&self, scope: &TenantScope) -> TenantTx {
        self.placement.tenant(scope, Mode::Write).await.unwrap().unwrap()
    }

    /// What the next users of the pool's connections find there, as many as there are.
    async fn assert_clean(&self, round: usize) {
        const LOOK: &str = "SELECT current_user = session_user AND current_setting('role') = 'none'
            AND current_setting('search_path') = '\"$user\", public' AND current_setting('statement_timeout') = '0'
            AND now() = statement_timestamp()
            AND NOT EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND locktype IN ('advisory', 'tuple'))";
        let (mut lease, rows) = self.placement.pool.begin(LOOK).await.unwrap();
        let clean: bool = sea_orm::sqlx::Row::try_get(&rows[0], 0).unwrap();
        assert!(clean, "round {round}");
        // Nothing is open: the server says so when asked to end it.
        lease.run("SELECT 1".to_owned()).await.unwrap();
        lease.give_back();
    }
}

async fn refused(tx: &TenantTx, sql: &str) -> String {
    let outcome = tx.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
    let error: DbErr = match outcome {
        Ok(rows) => panic!("{} rows from: {sql}", rows.len()),
        Err(error) => error,
    };
    let error = StoreError::from(error);
    let code = error.code();
    code.unwrap_or_else(|| panic!("not the server's refusal of {sql}: {error:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_t2_raw_sql_in_one_tenants_transaction_cannot_read_another() {
    let Some(world) = world(2).await else { return };
    let ((one, _), (other, _)) = (world.tenant().await, world.tenant().await);
    let other = other.tenant();
    for (sql, code) in attempts(other) {
        let tx = world.enter(&one).await;
        assert_eq!(refused(&tx, &sql).await, code, "{sql}");
        drop(tx);
    }
    // Its own tables are there all the while.
    let tx = world.enter(&one).await;
    let count = Statement::from_string(DbBackend::Postgres, "SELECT count(*) FROM audit_log");
    assert!(tx.query_one_raw(count).await.unwrap().is_some());
    tx.end().await.unwrap();
    assert!(world.store.head(&one).await.unwrap().is_some());
}

/// Statements of an attacker's choice, and with which code the server refuses them.
fn attempts(other: TenantId) -> Vec<(String, &'static str)> {
    const DENIED: &str = "42501";
    const SYNTAX: &str = "42601";
    const NO_TABLE: &str = "42P01";
    let b = other.schema_name();
    let denied = [
        format!("SELECT * FROM {b}.services"),
        format!("SELECT 1 FROM services UNION ALL SELECT 1 FROM {b}.config_head"),
        format!("INSERT INTO {b}.config_head VALUES (1, 1, 1, '')"),
        format!("UPDATE {b}.config_head SET seq = 0"),
        format!("DELETE FROM {b}.audit_log"),
        format!("SELECT query_to_xml('SELECT * FROM {b}.routes', true, false, '')"),
        format!("SELECT set_config('role', '{b}', true)"),
        format!("SELECT count(*) FROM services WHERE name = '' OR set_config('role', '{b}', true) <> ''"),
        "SELECT set_config('search_path', 'public', true)".to_owned(),
        format!("UPDATE pg_settings SET setting = '{b}' WHERE name = 'role'"),
        "SELECT * FROM public.tenants".to_owned(),
        "SELECT digest FROM public.api_keys".to_owned(),
        "SELECT * FROM public.plans".to_owned(),
        "DELETE FROM public.pending_config_updates".to_owned(),
        "SELECT * FROM public.seaql_migrations".to_owned(),
        "SELECT * FROM seaql_migrations".to_owned(),
        "DELETE FROM seaql_migrations".to_owned(),
        "UPDATE audit_log SET name = 'x'".to_owned(),
        "DELETE FROM audit_log".to_owned(),
        "TRUNCATE services".to_owned(),
        "DROP TABLE services".to_owned(),
        "ALTER TABLE services ADD COLUMN x text".to_owned(),
        "CREATE TABLE mine (x text)".to_owned(),
        "CREATE TEMPORARY TABLE services (x text)".to_owned(),
        "CREATE SCHEMA mine".to_owned(),
        "CREATE ROLE mine".to_owned(),
        "DO $$ BEGIN PERFORM 1; END $$".to_owned(),
        format!("SELECT novagate.provision('{other}')"),
        format!("SELECT novagate.erase('{other}')"),
        format!("SELECT novagate.ensure_partition('{other}', 'request_logs', 1)"),
        "SELECT pg_read_file('/etc/passwd')".to_owned(),
        "SELECT pg_read_binary_file('postgresql.conf')".to_owned(),
        "SELECT pg_ls_dir('/')".to_owned(),
        "SELECT lo_import('/etc/passwd')".to_owned(),
        "SELECT * FROM pg_authid".to_owned(),
        "COPY services TO PROGRAM 'id'".to_owned(),
        "COPY services FROM '/etc/passwd'".to_owned(),
    ];
    let mut all: Vec<(String, &'static str)> = denied.into_iter().map(|sql| (sql, DENIED)).collect();
    all.push(("SELECT 1; SELECT 2".to_owned(), SYNTAX));
    all.push((format!("SELECT 1; SET LOCAL ROLE {b}"), SYNTAX));
    // Unqualified, the platform's tables are not even seen.
    all.push(("SELECT * FROM tenants".to_owned(), NO_TABLE));
    all.push(("SELECT * FROM api_keys".to_owned(), NO_TABLE));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_t2_a_connection_carries_nothing_to_its_next_user() {
    let Some(world) = world(1).await else { return };
    let (one, _) = world.tenant().await;
    world.enter(&one).await.commit().await.unwrap();
    world.assert_clean(1).await;
    world.enter(&one).await.end().await.unwrap();
    world.assert_clean(2).await;
    // Dropped without an end, in the middle of a statement, after a refusal.
    drop(world.enter(&one).await);
    world.assert_clean(3).await;
    let tx = world.enter(&one).await;
    let slow = Statement::from_string(DbBackend::Postgres, "SELECT pg_sleep(30)");
    assert!(Polled::new(2, tx.query_one_raw(slow)).await.is_none());
    assert!(tx.query_one_raw(Statement::from_string(DbBackend::Postgres, "SELECT 1")).await.is_err(), "it has ended");
    drop(tx);
    world.assert_clean(4).await;
    let tx = world.enter(&one).await;
    refused(&tx, "SELECT 1 / 0").await;
    world.assert_clean(5).await;
    let both = world.placement.both(&one).await.unwrap().unwrap();
    both.tenant().query_one_raw(Statement::from_string(DbBackend::Postgres, "SELECT 1")).await.unwrap();
    both.platform().query_one_raw(Statement::from_string(DbBackend::Postgres, "SELECT 1 FROM tenants")).await.unwrap();
    drop(both);
    world.assert_clean(6).await;
}

/// Cancelled calls that the sweep has to reach.
const CANCELLED: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promise_t2_ten_thousand_cancelled_calls_hand_on_no_role_path_lock_or_transaction() {
    let Some(world) = world(2).await else { return };
    let (store, beside) = (&world.store, &world.beside);
    let (scope, mut model) = world.tenant().await;
    let (service, name, boot, node) =
        (world.mint.object(ObjectKind::Service), world.mint.name("a"), world.mint.boot(), world.mint.node());
    let (mut cancelled, mut round, mut sent) = (0, 0, 0);
    while cancelled < CANCELLED {
        round += 1;
        let polls = 1 + (round / 5) % 40;
        let audit = audit_entry(&world.mint, AuditAction::TenantRenamed, START);
        let dropped = match round % 5 {
            0 => {
                let edit = model.edit(START).upsert(service, &name, format!("{{\"round\":{round}}}")).build();
                let outcome = Polled::new(polls, store.commit(&scope, &edit)).await;
                let (head, objects) = beside.load(&scope).await.unwrap().unwrap();
                if head == edit.next {
                    model.apply(&edit);
                } else {
                    assert!(!matches!(outcome, Some(Ok(Commit::Committed(_)))), "round {round}");
                }
                assert_eq!((head, objects), (model.head(), model.objects()), "round {round}");
                outcome.is_none()
            }
            1 => Polled::new(polls, store.rename(&scope, "other", &audit)).await.is_none(),
            2 => {
                let batch = logs(node, boot, sent + 1, &[], &[log_entry(&world.mint, START)]);
                let outcome = Polled::new(polls, store.ingest(&scope, &batch)).await.is_none();
                sent = beside.received(&scope, boot).await.unwrap();
                outcome
            }
            3 => Polled::new(polls, store.load(&scope)).await.is_none(),
            _ => Polled::new(polls, store.keys(&scope)).await.is_none(),
        };
        cancelled += usize::from(dropped);
        assert!(round < 40 * CANCELLED, "calls end before they are cancelled");
        world.assert_clean(round).await;
    }
    let audit = audit_entry(&world.mint, AuditAction::TenantRenamed, START);
    assert!(store.rename(&scope, "last", &audit).await.unwrap());
    assert!(!store.audit(&scope, &novagate_ports_control::PageRequest::first(10)).await.unwrap().items.is_empty());
}
