//! What the owner of a database does: bring its schemas to this version and say how they stand.
//!
//! Always: forward only; one schema is one transaction under one lock, so that whatever ends the process in between leaves
//! each schema as it was or as it will be, and the next run goes on from there; at most four at a time. Not here: the steps
//! (`migrations`), the functions (`install`).

mod hints;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use novagate_kernel::TenantId;
use novagate_migrations::PlatformMigrator;
use novagate_ports_base::PortError;
use sea_orm::sqlx::postgres::PgPoolOptions;
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, SqlxPostgresConnector, Statement,
    TransactionTrait as _,
};
use sea_orm_migration::MigratorTrait;
use uuid::Uuid;

use super::{install, ledger, pool, version};
use crate::error::{StoreError, chain};

/// How many schemas are migrated at the same time.
const AT_ONCE: u32 = 4;

/// How long to wait for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// A database, through the login that owns it.
pub struct PostgresOwner {
    db: DatabaseConnection,
    /// The login that serves.
    login: String,
}

/// How a database stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageStatus {
    /// Steps of the platform's schema that are missing.
    pub platform_missing: Vec<String>,
    /// Whether the functions are those of this version.
    pub functions_current: bool,
    /// The version of a tenant's tables that this program makes.
    pub known: i64,
    /// How many tenants have which version.
    pub tenants: Vec<TenantsAt>,
    /// Tenants whose role the serving login cannot become yet.
    pub unreachable: u64,
    /// What an operator can do to harden the database further.
    pub hints: Vec<String>,
}

/// How many tenants have one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantsAt {
    /// The version.
    pub version: i64,
    /// How many.
    pub tenants: u64,
}

/// What a migration did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationReport {
    /// Tenants that have been brought to this version, or made reachable.
    pub migrated: u64,
    /// Tenants that could not be, with the reason.
    pub failed: Vec<(TenantId, String)>,
    /// Tenants that a newer program has migrated.
    pub newer: u64,
}

impl StorageStatus {
    /// Whether there is nothing to migrate.
    pub fn is_current(&self) -> bool {
        self.platform_missing.is_empty()
            && self.functions_current
            && self.unreachable == 0
            && self.tenants.iter().all(|at| at.version >= self.known)
    }
}

impl PostgresOwner {
    /// Connects as the owner of a database that `serving_url` will be served from.
    pub async fn connect(owner_url: &str, serving_url: &str) -> Result<Self, PortError> {
        located("migrate.connect", async {
            let login = pool::options_of(serving_url)?.get_username().to_owned();
            let options = PgPoolOptions::new().max_connections(AT_ONCE).acquire_timeout(PATIENCE);
            let pool = options.connect_with(pool::options_of(owner_url)?).await?;
            Ok(Self { db: SqlxPostgresConnector::from_sqlx_postgres_pool(pool), login })
        })
        .await
    }

    /// Whether this login may migrate: it may make schemas and roles, and nobody else owns the functions.
    pub async fn may_migrate(&self) -> Result<bool, PortError> {
        located("migrate.look", async {
            let sql = "SELECT (r.rolsuper OR r.rolcreaterole AND has_database_privilege(current_database(), 'CREATE'))
                           AND NOT EXISTS (SELECT FROM pg_namespace n
                               WHERE n.nspname = 'novagate' AND NOT pg_has_role(n.nspowner, 'USAGE'))
                       FROM pg_roles r WHERE r.rolname = current_user";
            Ok(one::<bool>(&self.db, sql).await?.unwrap_or(false))
        })
        .await
    }

    /// How the database stands; changes nothing.
    pub async fn status(&self) -> Result<StorageStatus, PortError> {
        located("migrate.status", async {
            let missing = PlatformMigrator::get_pending_migrations_read_only(&self.db).await?;
            let platform_missing: Vec<String> = missing.iter().map(|step| step.name().to_owned()).collect();
            let has_platform = platform_missing.len() < PlatformMigrator::STEPS.len();
            let tenants = if has_platform { self.versions().await? } else { Vec::new() };
            let unreachable = if has_platform { self.behind(i64::MIN).await?.len() as u64 } else { 0 };
            Ok(StorageStatus {
                platform_missing,
                functions_current: self.functions_current().await?,
                known: version::known(),
                tenants,
                unreachable,
                hints: hints::of(&self.db, &self.login).await?,
            })
        })
        .await
    }

    /// Brings everything to this version.
    pub async fn migrate(&self) -> Result<MigrationReport, PortError> {
        located("migrate.run", async {
            self.migrate_platform().await?;
            let newer =
                self.versions().await?.into_iter().filter(|at| at.version > version::known()).map(|at| at.tenants);
            let mut report = MigrationReport { newer: newer.sum(), ..MigrationReport::default() };
            let todo = Mutex::new(VecDeque::from(self.behind(version::known()).await?));
            let outcomes = tokio::join!(self.work(&todo), self.work(&todo), self.work(&todo), self.work(&todo));
            for (migrated, failed) in [outcomes.0, outcomes.1, outcomes.2, outcomes.3] {
                report.migrated += migrated;
                report.failed.extend(failed);
            }
            Ok(report)
        })
        .await
    }

    /// Closes every connection.
    pub async fn close(&self) {
        if let Err(error) = self.db.close_by_ref().await {
            tracing::warn!(%error, "the owner's connections did not close cleanly");
        }
    }

    async fn migrate_platform(&self) -> Result<(), StoreError> {
        let tx = self.locked("public").await?;
        tx.execute_unprepared("SET LOCAL search_path = public, pg_temp").await?;
        PlatformMigrator::up(&tx, None).await?;
        tx.execute_unprepared(&install::functions()).await?;
        tx.execute_unprepared(&install::grants(&self.login)).await?;
        tx.execute_unprepared(hints::HARDEN).await?;
        Ok(tx.commit().await?)
    }

    /// Migrates tenants until none is left.
    async fn work(&self, todo: &Mutex<VecDeque<TenantId>>) -> (u64, Vec<(TenantId, String)>) {
        let (mut migrated, mut failed) = (0, Vec::new());
        loop {
            let next = todo.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(tenant) = next else { return (migrated, failed) };
            match self.migrate_tenant(tenant).await {
                Ok(()) => migrated += 1,
                Err(error) => failed.push((tenant, chain(&error))),
            }
        }
    }

    async fn migrate_tenant(&self, tenant: TenantId) -> Result<(), StoreError> {
        let name = tenant.schema_name();
        let tx = self.locked(&name).await?;
        tx.execute_unprepared(&format!("SET LOCAL search_path = {}, pg_temp", install::quoted(&name))).await?;
        ledger::migrate(&tx).await?;
        let sql = "UPDATE public.tenants SET schema_version = $2 WHERE id = $1";
        let values = [tenant.as_uuid().into(), version::known().into()];
        tx.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
        let values = [tenant.as_uuid().into(), self.login.clone().into()];
        let sql = "SELECT novagate.secure($1, $2::name)";
        tx.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
        Ok(tx.commit().await?)
    }

    /// A transaction that no other migration of the same schema runs beside.
    async fn locked(&self, schema: &str) -> Result<DatabaseTransaction, StoreError> {
        let tx = self.db.begin().await?;
        let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
        let values = [format!("novagate.migrate.{schema}").into()];
        tx.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, lock, values)).await?;
        Ok(tx)
    }

    async fn versions(&self) -> Result<Vec<TenantsAt>, StoreError> {
        let sql =
            "SELECT schema_version, count(*) FROM public.tenants WHERE state <> 'unverified' GROUP BY 1 ORDER BY 1";
        let rows = self.db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
        let at = |row: sea_orm::QueryResult| -> Result<TenantsAt, StoreError> {
            let tenants: i64 = row.try_get_by_index(1)?;
            Ok(TenantsAt { version: row.try_get_by_index(0)?, tenants: tenants.unsigned_abs() })
        };
        rows.into_iter().map(at).collect()
    }

    /// Tenants with an older version than `known`, or whose role the serving login cannot become; none that is newer.
    async fn behind(&self, known: i64) -> Result<Vec<TenantId>, StoreError> {
        let sql = "SELECT t.id FROM public.tenants t WHERE t.state <> 'unverified' AND t.schema_version <= $3
                       AND (t.schema_version < $1 OR 'tenant_' || replace(t.id::text, '-', '_') NOT IN (
                           SELECT r.rolname::text FROM pg_roles r JOIN pg_auth_members m ON m.roleid = r.oid
                               JOIN pg_roles l ON l.oid = m.member AND l.rolname = $2))
                   ORDER BY t.id";
        let values = [known.into(), self.login.clone().into(), version::known().into()];
        let rows = self.db.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
        let id = |row: sea_orm::QueryResult| Ok(TenantId::from_uuid(row.try_get_by_index::<Uuid>(0)?));
        rows.into_iter().map(id).collect()
    }

    async fn functions_current(&self) -> Result<bool, StoreError> {
        let sql = "SELECT to_regprocedure('novagate.installed()') IS NOT NULL";
        if !one::<bool>(&self.db, sql).await?.unwrap_or(false) {
            return Ok(false);
        }
        let sql = "SELECT revision * 1000000 + tenant_version FROM novagate.installed()";
        let found = one::<i64>(&self.db, sql).await?.unwrap_or(0);
        Ok(found >= install::REVISION * 1_000_000 + version::known())
    }
}

/// The one value of one row.
pub(super) async fn one<T: sea_orm::TryGetable>(db: &DatabaseConnection, sql: &str) -> Result<Option<T>, StoreError> {
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
}

async fn located<T>(op: &'static str, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, PortError> {
    work.await.map_err(|error| error.into_port(op, "public".to_owned(), "public".to_owned()))
}
