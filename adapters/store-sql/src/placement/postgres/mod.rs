//! PostgreSQL: one schema and one role per tenant in one database.
//!
//! Always: a tenant's role may use its own schema and nothing else, and is entered for one transaction at a time; schemas
//! are made and removed by functions that the database's owner has installed, since the login that serves may do neither; an
//! edit, the platform's copy of its head and its pending update are one transaction. Locks are taken in one order: the
//! platform's rows, then the tenant's. Not here: statements, the functions' texts (`install`).

mod days;
mod install;
mod ledger;
mod owner;
mod pool;
#[cfg(test)]
mod promises;
mod texts;
mod tx;
mod version;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{Head, TenantId, Timestamp};
use sea_orm::sqlx::Row as _;
use sea_orm::sqlx::postgres::PgRow;

use self::days::KnownDays;
pub use self::owner::{MigrationReport, PostgresOwner, StorageStatus, TenantsAt};
use self::pool::Pool;
use self::texts::Limits;
use self::tx::Entry;
pub(crate) use self::{
    days::DayTable,
    tx::{Arrays, PgTx, Side},
};
use super::{BothTx, Mode, Placement, PlatformTx, TenantTx};
use crate::error::{PlatformError, StoreError};
use crate::platform;

/// How a PostgreSQL database is used.
#[derive(Clone)]
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/database`.
    pub url: String,
    /// How many connections are open at most.
    pub max_connections: u32,
    /// How long a call waits for a connection, and for the begin of its transaction.
    pub acquire_timeout: Duration,
    /// How long the server lets one statement run.
    pub statement_timeout: Duration,
    /// Whether statements are prepared by name, for repeated use. A pooler that shares connections between transactions and
    /// does not follow prepared statements needs `false`.
    pub named_statements: bool,
}

impl PostgresSettings {
    /// The usual settings. A URL with `statement-cache-capacity=0` asks for statements without names.
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        Self {
            named_statements: !url.contains("statement-cache-capacity=0"),
            url,
            max_connections: 10,
            acquire_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(10),
        }
    }
}

/// How long a transaction may wait for its next statement before the server ends it.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(30);

/// One database.
pub(crate) struct PostgresPlacement {
    pool: Pool,
    limits: Limits,
    named: bool,
    days: KnownDays,
}

impl PostgresPlacement {
    /// Looks whether the database is at this version.
    pub(crate) async fn open(settings: &PostgresSettings) -> Result<Self, PlatformError> {
        let options = pool::options_of(&settings.url)?;
        let placement = Self {
            pool: Pool::lazy(options, settings),
            limits: Limits { statement: settings.statement_timeout, idle: IDLE_IN_TRANSACTION },
            named: settings.named_statements,
            days: KnownDays::default(),
        };
        placement.check().await?;
        Ok(placement)
    }

    /// Refuses a database that is behind or ahead.
    async fn check(&self) -> Result<(), StoreError> {
        let begin = texts::begin(Mode::Read, self.limits);
        let looked = self.pool.begin(&format!("{begin}; {}", version::LOOK)).await;
        let (lease, rows) = looked.map_err(version::not_installed)?;
        lease.abort().await;
        version::check_platform(rows.first())
    }

    /// A transaction over the platform's tables, in which a tenant can be entered.
    async fn begin(&self, mode: Mode, entry: Entry, checks: &str) -> Result<(PgTx, Vec<PgRow>), StoreError> {
        let (lease, rows) = self.pool.begin(&format!("{}{checks}", texts::begin(mode, self.limits))).await?;
        Ok((PgTx::begun(lease, Side::Platform, entry, self.named), rows))
    }

    /// A writing transaction that stands before a tenant that exists; `None` when the tenant is gone.
    async fn before(&self, tenant: TenantId) -> Result<Option<PgTx>, StoreError> {
        let entry = Entry { first: None, again: texts::enter(tenant) };
        let check = format!("; {}", texts::version_of(tenant));
        let (tx, rows) = self.begin(Mode::Write, entry, &check).await?;
        if !is_served(&rows)? {
            tx.end().await?;
            return Ok(None);
        }
        Ok(Some(tx))
    }

    /// A tenant's tables. The one place where an id becomes access.
    async fn enter(&self, tenant: TenantId, mode: Mode) -> Result<Option<TenantTx>, StoreError> {
        let enter = texts::enter(tenant);
        let text = format!("{}; {}; {enter}", texts::begin(mode, self.limits), texts::version_of(tenant));
        let (lease, rows) = match self.pool.begin(&text).await {
            Err(error) if error.is_missing_schema() => return self.missing(tenant).await,
            outcome => outcome?,
        };
        if !is_served(&rows)? {
            lease.abort().await;
            return Ok(None);
        }
        let entry = Entry { first: None, again: enter };
        Ok(Some(TenantTx::on_server(Arc::new(PgTx::begun(lease, Side::Tenant, entry, self.named)))))
    }

    /// There is no role: an erased tenant's, or a provisioned one's that somebody has removed.
    async fn missing(&self, tenant: TenantId) -> Result<Option<TenantTx>, StoreError> {
        let tx = self.platform(Mode::Read).await?;
        let provisioned = platform::tenants::is_provisioned(&tx, tenant).await?;
        tx.end().await?;
        if provisioned { Err(StoreError::NoSchema) } else { Ok(None) }
    }
}

#[async_trait]
impl Placement for PostgresPlacement {
    async fn platform(&self, mode: Mode) -> Result<PlatformTx, PlatformError> {
        let entry = Entry { first: None, again: texts::LEAVE.to_owned() };
        let (tx, _) = self.begin(mode, entry, "").await?;
        Ok(PlatformTx::on_server(Arc::new(tx)))
    }

    async fn tenant(&self, scope: &TenantScope, mode: Mode) -> Result<Option<TenantTx>, StoreError> {
        self.enter(scope.tenant(), mode).await
    }

    async fn edit(&self, scope: &TenantScope, head: Head, at: Timestamp) -> Result<Option<TenantTx>, StoreError> {
        let Some(tx) = self.before(scope.tenant()).await? else { return Ok(None) };
        let tx = Arc::new(tx);
        let platform = PlatformTx::on_server(Arc::clone(&tx));
        platform::pending::note(&platform, scope.tenant(), head.revision, at).await?;
        Ok(Some(TenantTx::on_server(tx)))
    }

    async fn both(&self, scope: &TenantScope) -> Result<Option<BothTx>, StoreError> {
        Ok(self.before(scope.tenant()).await?.map(BothTx::on_server))
    }

    async fn create(&self, scope: &TenantScope) -> Result<BothTx, StoreError> {
        let tenant = scope.tenant();
        let entry = Entry { first: Some(texts::provision(tenant)), again: texts::enter(tenant) };
        let (tx, rows) = self.begin(Mode::Write, entry, &format!("; {}", version::LOOK)).await?;
        version::check_provisioning(rows.first())?;
        Ok(BothTx::on_server(tx))
    }

    async fn note_head(&self, _: &TenantScope, _: Head, _: Timestamp) -> Result<(), PlatformError> {
        // Done in the edit's own transaction.
        Ok(())
    }

    async fn announce_erasure(&self, tx: &PlatformTx, scope: &TenantScope) -> Result<(), StoreError> {
        install::erase(tx, scope.tenant()).await
    }

    async fn remove(&self, scope: &TenantScope) -> Result<(), StoreError> {
        // The schema went with the platform's rows.
        self.days.forget(scope.tenant());
        Ok(())
    }

    async fn prepare_days(&self, scope: &TenantScope, table: DayTable, days: &[i32]) -> Result<(), StoreError> {
        let missing = self.days.missing(scope.tenant(), table, days);
        if missing.is_empty() {
            return Ok(());
        }
        let tx = self.platform(Mode::Write).await?;
        install::ensure_partitions(&tx, scope.tenant(), table, &missing).await?;
        tx.commit().await?;
        self.days.learn(scope.tenant(), table, &missing);
        Ok(())
    }

    fn forget_days(&self, scope: &TenantScope) {
        self.days.forget(scope.tenant());
    }

    async fn retire_day(&self, scope: &TenantScope, before: Timestamp) -> Result<Option<u64>, StoreError> {
        let tx = self.platform(Mode::Write).await?;
        let gone = install::retire_partition(&tx, scope.tenant(), before).await?;
        tx.commit().await?;
        Ok(gone)
    }

    fn tenant_place(&self, tenant: TenantId) -> String {
        tenant.schema_name()
    }

    fn platform_place(&self) -> String {
        "public".to_owned()
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

/// Whether the tenant exists; an error when its tables have a version that this program does not serve.
fn is_served(rows: &[PgRow]) -> Result<bool, StoreError> {
    let Some(row) = rows.first() else { return Ok(false) };
    let found: i64 = row.try_get(0)?;
    version::check_tenant(found).map_err(StoreError::Schema)?;
    Ok(true)
}
