//! SQLite: one file for the platform, one file per tenant.
//!
//! Always: a tenant's file is the truth about its revisions; the platform's copy of its head and its pending update are
//! derived (a commit over two files is not atomic) and healed when the store is opened. A tenant exists when both its
//! platform row and its file do; every other state is what a crash left behind and is cleared when the store is opened.
//! Files are readable by their owner only. Not here: statements.

mod files;
mod layout;
mod locks;
mod open;
mod publish;
mod recover;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{Head, TenantId, Timestamp};
use novagate_migrations::{PlatformMigrator, TenantMigrator};
use sea_orm::sqlx::sqlite::SqliteSynchronous;
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};

use self::files::OpenFiles;
use self::layout::Layout;
use self::locks::Presence;
pub(crate) use self::{files::OpenFile, publish::Publish};
use super::{BothTx, DayTable, Mode, Placement, PlatformTx, TenantTx};
use crate::error::{PlatformError, StoreError};
use crate::platform;

/// How SQLite files are kept.
#[derive(Debug, Clone)]
pub struct SqliteSettings {
    /// The directory that holds all files; created when it is missing.
    pub directory: PathBuf,
    /// How many tenant files are kept open; each costs a thread and three descriptors.
    pub open_tenants: usize,
    /// How long a statement waits for another process that writes to the same file.
    pub busy_timeout: Duration,
    /// How long a call waits for the one connection of a file.
    pub acquire_timeout: Duration,
}

impl SqliteSettings {
    /// The usual settings for files under `directory`.
    pub fn new(directory: impl AsRef<Path>) -> Self {
        Self {
            directory: directory.as_ref().to_path_buf(),
            open_tenants: 64,
            busy_timeout: Duration::from_secs(10),
            // A disk that is busy elsewhere can hold a commit up for seconds; callers have 30 s.
            acquire_timeout: Duration::from_secs(15),
        }
    }
}

/// Files of one directory.
pub(crate) struct SqlitePlacement {
    layout: Layout,
    settings: SqliteSettings,
    platform: DatabaseConnection,
    // Writes what can be derived again, without waiting for the disk.
    derived: DatabaseConnection,
    tenants: OpenFiles,
    fresh: AtomicU64,
    _presence: Presence,
}

impl SqlitePlacement {
    /// Opens the files, brings their tables up to date, and clears and heals what a crash left behind.
    pub(crate) async fn open(settings: SqliteSettings) -> Result<Self, PlatformError> {
        let layout = Layout::new(&settings.directory);
        layout.create_directories().map_err(StoreError::io("create the directories"))?;
        let mut setup = locks::Setup::enter(&layout, settings.acquire_timeout).await?;
        open::create_file(&layout.platform()).map_err(StoreError::io("create the platform's file"))?;
        let platform = open::connect(&layout.platform(), SqliteSynchronous::Full, &settings).await?;
        open::migrate::<PlatformMigrator>(&platform).await?;
        let derived = open::connect(&layout.platform(), SqliteSynchronous::Normal, &settings).await?;
        let alone = setup.is_alone();
        let store = Self {
            tenants: OpenFiles::new(settings.open_tenants),
            layout,
            settings,
            platform,
            derived,
            fresh: AtomicU64::new(0),
            _presence: setup.presence()?,
        };
        if alone {
            store.clear_remains().await?;
        }
        store.heal().await?;
        Ok(store)
    }

    /// A tenant's tables. The one place where an id becomes access; reached through a scope, or from this placement's own
    /// recovery.
    async fn enter(&self, tenant: TenantId, mode: Mode) -> Result<Option<TenantTx>, StoreError> {
        let path = self.layout.tenant(tenant);
        let opened = self.tenants.get(tenant, &path, || self.open_tenant(&path)).await?;
        let Some(file) = opened else { return self.missing(tenant).await };
        let tx = begin(file.db(), mode).await?;
        Ok(Some(TenantTx::in_file(tx, file)))
    }

    async fn open_tenant(&self, path: &Path) -> Result<OpenFile, StoreError> {
        let db = open::connect(path, SqliteSynchronous::Full, &self.settings).await?;
        open::migrate::<TenantMigrator>(&db).await?;
        Ok(OpenFile::new(db))
    }

    /// There is no file: an erased tenant's, or a provisioned one's that somebody has removed.
    async fn missing(&self, tenant: TenantId) -> Result<Option<TenantTx>, StoreError> {
        let tx = self.platform(Mode::Read).await?;
        let provisioned = platform::tenants::is_provisioned(&tx, tenant).await?;
        tx.end().await?;
        if provisioned { Err(StoreError::Missing) } else { Ok(None) }
    }
}

#[async_trait]
impl Placement for SqlitePlacement {
    async fn platform(&self, mode: Mode) -> Result<PlatformTx, PlatformError> {
        let db = match mode {
            Mode::Read | Mode::Write => &self.platform,
            Mode::Derive => &self.derived,
        };
        Ok(PlatformTx::in_file(begin(db, mode).await?))
    }

    async fn tenant(&self, scope: &TenantScope, mode: Mode) -> Result<Option<TenantTx>, StoreError> {
        self.enter(scope.tenant(), mode).await
    }

    async fn edit(&self, scope: &TenantScope, _: Head, _: Timestamp) -> Result<Option<TenantTx>, StoreError> {
        self.tenant(scope, Mode::Write).await
    }

    async fn both(&self, scope: &TenantScope) -> Result<Option<BothTx>, StoreError> {
        // The tenant first: a slow query of one tenant must not hold the platform's connection.
        let Some(tenant) = self.tenant(scope, Mode::Write).await? else { return Ok(None) };
        let platform = self.platform(Mode::Write).await?;
        Ok(Some(BothTx::in_files(tenant, platform, None)))
    }

    async fn create(&self, scope: &TenantScope) -> Result<BothTx, StoreError> {
        let number = self.fresh.fetch_add(1, Ordering::Relaxed);
        let publish = Publish::prepare(&self.layout, scope.tenant(), number, &self.settings).await?;
        let tenant = TenantTx::in_file(begin(publish.file().db(), Mode::Write).await?, Arc::clone(publish.file()));
        let platform = self.platform(Mode::Write).await?;
        Ok(BothTx::in_files(tenant, platform, Some(publish)))
    }

    async fn note_head(&self, scope: &TenantScope, head: Head, at: Timestamp) -> Result<(), PlatformError> {
        let tx = self.platform(Mode::Derive).await?;
        platform::pending::note(&tx, scope.tenant(), head.revision, at).await?;
        Ok(tx.commit().await?)
    }

    async fn announce_erasure(&self, _: &PlatformTx, scope: &TenantScope) -> Result<(), StoreError> {
        let marker = self.layout.erasure(scope.tenant());
        open::create_file(&marker).map_err(StoreError::io("announce an erasure"))?;
        open::sync_directory(&self.layout.tenants()).await
    }

    async fn remove(&self, scope: &TenantScope) -> Result<(), StoreError> {
        self.tenants.close(scope.tenant()).await;
        self.remove_files(scope.tenant()).await
    }

    async fn prepare_days(&self, _: &TenantScope, _: DayTable, _: &[i32]) -> Result<(), StoreError> {
        Ok(())
    }

    fn forget_days(&self, _: &TenantScope) {}

    async fn retire_day(&self, _: &TenantScope, _: Timestamp) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    fn tenant_place(&self, tenant: TenantId) -> String {
        format!("tenants/{}.db", tenant.schema_name())
    }

    fn platform_place(&self) -> String {
        "platform.db".to_owned()
    }

    async fn close(&self) {
        self.tenants.close_all().await;
        for db in [&self.derived, &self.platform] {
            if let Err(error) = db.close_by_ref().await {
                tracing::warn!(%error, "the platform's file did not close cleanly");
            }
        }
    }
}

/// Writers take the write lock at once: a reader that becomes a writer later would fail if somebody wrote in between.
async fn begin(db: &DatabaseConnection, mode: Mode) -> Result<DatabaseTransaction, DbErr> {
    let sqlite_transaction_mode = match mode {
        Mode::Read => SqliteTransactionMode::Deferred,
        Mode::Write | Mode::Derive => SqliteTransactionMode::Immediate,
    };
    let options = TransactionOptions {
        isolation_level: None,
        access_mode: None,
        sqlite_transaction_mode: Some(sqlite_transaction_mode),
    };
    db.begin_with_options(options).await
}
