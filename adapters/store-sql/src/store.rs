//! The store: the one place where a scope becomes a transaction, and where a failure becomes a port's error.

use std::sync::Arc;
use std::time::Duration;

use novagate_access::TenantScope;
use novagate_kernel::{Head, Timestamp};
use novagate_ports_base::{ObjectCodec, PortError};

use crate::error::{PlatformError, StoreError};
use crate::placement::{
    Mode, Placement, PlatformTx, PostgresPlacement, PostgresSettings, SqlitePlacement, SqliteSettings, TenantTx,
};
use crate::platform;

/// How long one call of a port may take; well above what any of them needs.
const DEADLINE: Duration = Duration::from_secs(30);

/// How often a call is made that meets others who work on the same rows.
const ATTEMPTS: u32 = 5;

/// How long to wait before the next attempt, times the number of those made.
const RACE_PAUSE: Duration = Duration::from_millis(5);

/// Tenants, keys, configuration, nodes, telemetry and audit logs in SQL tables.
///
/// It implements every storage port of `ports/control`. Cloning is cheap; all clones are one store.
#[derive(Clone)]
pub struct SqlStore {
    placement: Arc<dyn Placement>,
    codec: Arc<dyn ObjectCodec>,
}

impl SqlStore {
    /// A store in SQLite files: brings their tables up to date and heals what a crash left behind. `codec` reads which
    /// service a route forwards to.
    pub async fn open_sqlite(settings: SqliteSettings, codec: Arc<dyn ObjectCodec>) -> Result<Self, PortError> {
        const OP: &str = "store.open";
        let in_platform =
            |error: PlatformError| StoreError::from(error).into_port(OP, String::new(), "platform.db".to_owned());
        let placement: Arc<dyn Placement> = Arc::new(SqlitePlacement::open(settings).await.map_err(in_platform)?);
        let store = Self { placement, codec };
        store.seed_plans().await.map_err(in_platform)?;
        Ok(store)
    }

    /// A store in a PostgreSQL database whose owner has brought it to this version. `codec` reads which service a route
    /// forwards to.
    pub async fn open_postgres(settings: PostgresSettings, codec: Arc<dyn ObjectCodec>) -> Result<Self, PortError> {
        const OP: &str = "store.open";
        let in_platform =
            |error: PlatformError| StoreError::from(error).into_port(OP, String::new(), "public".to_owned());
        let placement: Arc<dyn Placement> = Arc::new(PostgresPlacement::open(&settings).await.map_err(in_platform)?);
        let store = Self { placement, codec };
        store.seed_plans().await.map_err(in_platform)?;
        Ok(store)
    }

    /// A store over a placement that a test looks at.
    #[cfg(test)]
    pub(crate) fn over(placement: Arc<dyn Placement>) -> Self {
        Self { placement, codec: Arc::new(novagate_documents::stored::JsonObjectCodec) }
    }

    /// Closes every connection once nothing runs on it. Calls after this fail.
    pub async fn close(&self) {
        self.placement.close().await;
    }

    pub(crate) fn placement(&self) -> &dyn Placement {
        self.placement.as_ref()
    }

    pub(crate) fn codec(&self) -> &dyn ObjectCodec {
        self.codec.as_ref()
    }

    /// A transaction over one tenant's tables; `None` when the tenant is gone.
    pub(crate) async fn begin_in(&self, scope: &TenantScope, mode: Mode) -> Result<Option<TenantTx>, StoreError> {
        self.placement.tenant(scope, mode).await
    }

    /// A writing transaction over the tables of a tenant that must exist.
    pub(crate) async fn write_in(&self, scope: &TenantScope) -> Result<TenantTx, StoreError> {
        self.begin_in(scope, Mode::Write).await?.ok_or(StoreError::Gone)
    }

    /// A writing transaction that moves a tenant's head to `head`; `None` when the tenant is gone.
    pub(crate) async fn edit_in(
        &self,
        scope: &TenantScope,
        head: Head,
        at: Timestamp,
    ) -> Result<Option<TenantTx>, StoreError> {
        self.placement.edit(scope, head, at).await
    }

    /// A transaction over the platform's tables.
    pub(crate) async fn begin_platform(&self, mode: Mode) -> Result<PlatformTx, PlatformError> {
        self.placement.platform(mode).await
    }

    /// Runs one call of a port for a tenant, under the deadline. `work` is one transaction: when it loses against another
    /// one it has done nothing, and is run again.
    pub(crate) async fn call<T, F>(
        &self,
        op: &'static str,
        scope: &TenantScope,
        work: impl Fn() -> F + Send,
    ) -> Result<T, PortError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        let outcome = bounded(work).await;
        outcome.map_err(|error| {
            error.into_port(op, self.placement.tenant_place(scope.tenant()), self.placement.platform_place())
        })
    }

    /// Runs one call of a port that is no tenant's, in the same way.
    pub(crate) async fn call_platform<T, F>(
        &self,
        op: &'static str,
        work: impl Fn() -> F + Send,
    ) -> Result<T, PortError>
    where
        F: Future<Output = Result<T, PlatformError>> + Send,
    {
        let work = || {
            let run = work();
            async { run.await.map_err(StoreError::from) }
        };
        let place = || self.placement.platform_place();
        bounded(work).await.map_err(|error| error.into_port(op, place(), place()))
    }

    async fn seed_plans(&self) -> Result<(), PlatformError> {
        let tx = self.begin_platform(Mode::Write).await?;
        platform::plans::seed(&tx).await?;
        Ok(tx.commit().await?)
    }
}

async fn bounded<T, F>(work: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let attempts = async {
        let mut attempt = 1;
        loop {
            match work().await {
                Err(error) if error.is_race() && attempt < ATTEMPTS => {
                    tokio::time::sleep(RACE_PAUSE * attempt).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    };
    tokio::time::timeout(DEADLINE, attempts).await.unwrap_or(Err(StoreError::Deadline))
}
