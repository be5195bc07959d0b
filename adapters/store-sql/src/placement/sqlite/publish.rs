//! A tenant's file from its making to its name.
//!
//! Always: under its own name a file is complete and durable. A file that is not published is removed when the value is
//! dropped, or, after a crash, when the store is opened. Not here: what is written into it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use novagate_kernel::TenantId;
use novagate_migrations::TenantMigrator;
use sea_orm::sqlx::sqlite::SqliteSynchronous;

use super::SqliteSettings;
use super::files::OpenFile;
use super::layout::{Layout, with_companions};
use super::open;
use crate::error::StoreError;

/// A tenant's file under a name that nobody looks for.
pub(crate) struct Publish {
    file: Arc<OpenFile>,
    fresh: Fresh,
    target: PathBuf,
    directory: PathBuf,
}

/// Removes what lies at its path.
struct Fresh(PathBuf);

impl Publish {
    /// Makes the file with its empty tables.
    pub(super) async fn prepare(
        layout: &Layout,
        tenant: TenantId,
        number: u64,
        settings: &SqliteSettings,
    ) -> Result<Self, StoreError> {
        let fresh = Fresh(layout.fresh(tenant, number));
        open::create_file(&fresh.0).map_err(StoreError::io("create a tenant's file"))?;
        // Nothing needs to be durable before the whole file is.
        let db = open::connect(&fresh.0, SqliteSynchronous::Off, settings).await?;
        open::migrate::<TenantMigrator>(&db).await?;
        let file = Arc::new(OpenFile::new(db));
        Ok(Self { file, fresh, target: layout.tenant(tenant), directory: layout.tenants() })
    }

    pub(super) const fn file(&self) -> &Arc<OpenFile> {
        &self.file
    }

    /// Gives the file its name. The caller holds the platform's write lock and has seen that the tenant does not exist, so
    /// a file that already has the name is what a crash left behind.
    pub(crate) async fn run(self) -> Result<(), StoreError> {
        // Closing the last connection moves the log into the file itself.
        self.file.db().close_by_ref().await?;
        remove_all(&self.target).await?;
        open::sync(&self.fresh.0).await.map_err(StoreError::io("make a tenant's file durable"))?;
        tokio::fs::rename(&self.fresh.0, &self.target).await.map_err(StoreError::io("name a tenant's file"))?;
        open::sync_directory(&self.directory).await
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        for path in with_companions(&self.0) {
            // Nothing there is the usual case; whatever else stays is removed when the store is opened.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Removes a file and its companions; those that are not there count as removed.
pub(super) async fn remove_all(path: &Path) -> Result<(), StoreError> {
    for path in with_companions(path) {
        match tokio::fs::remove_file(&path).await {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(StoreError::Io { step: "remove a file", source }),
        }
    }
    Ok(())
}
