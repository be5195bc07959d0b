//! What a crash leaves behind, cleared and healed when the store is opened.
//!
//! Always: an announced erasure is completed; a tenant's file without a platform row is removed only when it holds nothing
//! but the first revision (its provisioning did not finish); another one is kept and told about, since then the platform's
//! file is probably an older copy. A tenant whose file cannot be read stops nobody else.

use std::collections::BTreeSet;

use novagate_kernel::{Revision, TenantId, Timestamp};

use super::SqlitePlacement;
use super::layout::Entry;
use super::open;
use super::publish::remove_all;
use crate::error::{PlatformError, StoreError, chain};
use crate::placement::{Mode, Placement as _, PlatformTx};
use crate::platform;
use crate::tenant;

impl SqlitePlacement {
    /// Clears what unfinished provisionings and erasures left behind. Nobody else may have the files open.
    pub(super) async fn clear_remains(&self) -> Result<(), PlatformError> {
        let entries = self.layout.entries().map_err(StoreError::io("list the tenants' files"))?;
        let known = self.provisioned().await?;
        let erased: BTreeSet<TenantId> = entries.iter().filter_map(|(entry, _)| erasure(*entry)).collect();
        for &tenant in &erased {
            self.finish_erasure(tenant).await?;
        }
        for (entry, path) in entries {
            match entry {
                Entry::Fresh => remove_all(&path).await?,
                Entry::Tenant(tenant) if !known.contains(&tenant) && !erased.contains(&tenant) => {
                    self.clear_orphan(tenant).await?;
                }
                Entry::Tenant(_) | Entry::Erasure(_) => {}
            }
        }
        Ok(())
    }

    /// Brings the platform's copies of heads and pending updates up to date with the tenants' files.
    pub(super) async fn heal(&self) -> Result<(), PlatformError> {
        let tx = self.platform(Mode::Read).await?;
        let copies = platform::tenants::heads(&tx).await?;
        tx.end().await?;
        for (tenant, copy) in copies {
            match self.newest(tenant).await {
                Ok(newest) if newest.map(|(revision, _)| revision) == copy => {}
                Ok(None) => {}
                Ok(Some((revision, at))) => {
                    let tx: PlatformTx = self.platform(Mode::Write).await?;
                    platform::pending::note(&tx, tenant, revision, at).await?;
                    tx.commit().await?;
                }
                Err(error) => {
                    let file = self.tenant_place(tenant);
                    tracing::error!(file, error = %chain(&error), "a tenant's file cannot be read");
                }
            }
        }
        Ok(())
    }

    /// Removes a tenant's files and, last, the announcement of its erasure.
    pub(super) async fn remove_files(&self, tenant: TenantId) -> Result<(), StoreError> {
        remove_all(&self.layout.tenant(tenant)).await?;
        open::sync_directory(&self.layout.tenants()).await?;
        remove_all(&self.layout.erasure(tenant)).await
    }

    async fn provisioned(&self) -> Result<BTreeSet<TenantId>, PlatformError> {
        let tx = self.platform(Mode::Read).await?;
        let heads = platform::tenants::heads(&tx).await?;
        tx.end().await?;
        Ok(heads.into_iter().map(|(tenant, _)| tenant).collect())
    }

    async fn finish_erasure(&self, tenant: TenantId) -> Result<(), PlatformError> {
        let tx = self.platform(Mode::Write).await?;
        platform::tenants::delete(&tx, tenant).await?;
        tx.commit().await?;
        self.remove_files(tenant).await?;
        tracing::info!(%tenant, "completed an erasure that had been interrupted");
        Ok(())
    }

    async fn clear_orphan(&self, tenant: TenantId) -> Result<(), StoreError> {
        let file = self.tenant_place(tenant);
        match self.newest(tenant).await {
            Ok(newest) if newest.is_none_or(|(revision, _)| revision.seq <= 1) => {
                self.tenants.close(tenant).await;
                self.remove_files(tenant).await?;
                tracing::info!(file, "removed the file of a tenant whose creation had been interrupted");
            }
            Ok(_) => tracing::warn!(file, "this file belongs to no tenant of platform.db; it is kept"),
            Err(error) => {
                tracing::warn!(file, error = %chain(&error), "this file belongs to no tenant and cannot be read; it is kept");
            }
        }
        Ok(())
    }

    /// The newest revision in a tenant's file, and when it was made.
    async fn newest(&self, tenant: TenantId) -> Result<Option<(Revision, Timestamp)>, StoreError> {
        let Some(tx) = self.enter(tenant, Mode::Read).await? else { return Ok(None) };
        let head = tenant::head::read(&tx).await?;
        let newest = match head {
            Some(head) => {
                let at = tenant::revisions::find(&tx, head.revision.seq).await?.map(|record| record.at);
                Some((head.revision, at.unwrap_or(Timestamp::UNIX_EPOCH)))
            }
            None => None,
        };
        tx.end().await?;
        Ok(newest)
    }
}

const fn erasure(entry: Entry) -> Option<TenantId> {
    match entry {
        Entry::Erasure(tenant) => Some(tenant),
        Entry::Tenant(_) | Entry::Fresh => None,
    }
}
