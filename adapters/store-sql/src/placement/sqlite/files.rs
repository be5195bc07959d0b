//! The tenant files that are open: at most a given number, the longest unused one goes first.
//!
//! Always: a file is not closed while a transaction runs on it, and a file that has been replaced or removed on disk is not
//! used again. Not here: how a file is opened.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use novagate_kernel::TenantId;
use sea_orm::DatabaseConnection;
use tokio::sync::OnceCell;

use crate::error::StoreError;

/// An open file. Whoever holds it keeps it open.
pub(crate) struct OpenFile {
    db: DatabaseConnection,
}

impl OpenFile {
    pub(super) const fn new(db: DatabaseConnection) -> Self {
        Self { db }
    }

    pub(super) const fn db(&self) -> &DatabaseConnection {
        &self.db
    }
}

/// Device and inode: whether a path still leads to the same file.
type Identity = (u64, u64);

struct Slot {
    identity: Identity,
    used: u64,
    file: Arc<OnceCell<Arc<OpenFile>>>,
}

impl Slot {
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.file) == 1 && self.file.get().is_none_or(|file| Arc::strong_count(file) == 1)
    }
}

#[derive(Default)]
struct Slots {
    clock: u64,
    by_tenant: HashMap<TenantId, Slot>,
}

/// The open files.
pub(super) struct OpenFiles {
    limit: usize,
    slots: Mutex<Slots>,
}

impl OpenFiles {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), slots: Mutex::default() }
    }

    /// The tenant's file, opened with `open` when it is not; `None` when there is none at `path`.
    ///
    /// Cancel-safe: an opening that is dropped is begun anew by the next caller.
    pub(super) async fn get<F>(
        &self,
        tenant: TenantId,
        path: &Path,
        open: impl FnOnce() -> F + Send,
    ) -> Result<Option<Arc<OpenFile>>, StoreError>
    where
        F: Future<Output = Result<OpenFile, StoreError>> + Send,
    {
        let Some(identity) = identity(path).map_err(StoreError::io("look at a tenant's file"))? else {
            self.lock().by_tenant.remove(&tenant);
            return Ok(None);
        };
        let cell = self.claim(tenant, identity);
        let file = cell.get_or_try_init(|| async { open().await.map(Arc::new) }).await?;
        Ok(Some(Arc::clone(file)))
    }

    /// Closes a tenant's file once nothing runs on it.
    pub(super) async fn close(&self, tenant: TenantId) {
        let slot = self.lock().by_tenant.remove(&tenant);
        if let Some(slot) = slot {
            close_slot(&slot).await;
        }
    }

    /// Closes every file once nothing runs on it.
    pub(super) async fn close_all(&self) {
        let slots = std::mem::take(&mut self.lock().by_tenant);
        for slot in slots.values() {
            close_slot(slot).await;
        }
    }

    fn claim(&self, tenant: TenantId, identity: Identity) -> Arc<OnceCell<Arc<OpenFile>>> {
        let mut slots = self.lock();
        slots.clock += 1;
        let used = slots.clock;
        let slot = slots
            .by_tenant
            .entry(tenant)
            .and_modify(|slot| {
                if slot.identity != identity {
                    *slot = Slot { identity, used, file: Arc::default() };
                }
            })
            .or_insert_with(|| Slot { identity, used, file: Arc::default() });
        slot.used = used;
        let file = Arc::clone(&slot.file);
        self.evict(&mut slots);
        file
    }

    /// Drops idle files beyond the limit; dropping the last handle of a pool closes its connection.
    fn evict(&self, slots: &mut Slots) {
        while slots.by_tenant.len() > self.limit {
            let idle = slots.by_tenant.iter().filter(|(_, slot)| slot.is_idle());
            let Some((&oldest, _)) = idle.min_by_key(|(_, slot)| slot.used) else { return };
            slots.by_tenant.remove(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn close_slot(slot: &Slot) {
    if let Some(file) = slot.file.get()
        && let Err(error) = file.db.close_by_ref().await
    {
        tracing::warn!(%error, "a tenant's file did not close cleanly");
    }
}

fn identity(path: &Path) -> io::Result<Option<Identity>> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(Some((found.dev(), found.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
