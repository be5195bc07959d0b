//! Configurations kept on this node's disk, and once more where the fleet keeps one.
//!
//! Always: the disk is written first, and what it says is durable; the fleet's copy is written after it, beside everything
//! else, and at best effort. Of two copies of one epoch the newer is served; of different epochs the disk's, which this
//! node was told itself. A node without a copy on its disk serves the fleet's.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use novagate_access::KeyDigest;
use novagate_kernel::TenantId;
use novagate_ports_base::PortError;
use novagate_ports_edge::{LoadReport, LoadedSnapshot, QuarantinedSlot, SnapshotStore};
use novagate_sync::ConfigSet;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// A start waits no longer for the fleet's copy.
const LOAD: Duration = Duration::from_millis(500);
/// A configuration is written to the fleet when none has followed it for so long.
const SETTLE: Duration = Duration::from_secs(1);
/// Or at the latest after this.
const LATEST: Duration = Duration::from_secs(10);
/// Until a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Keeps configurations on the disk and in the fleet.
pub struct CachedSnapshots {
    disk: Arc<dyn SnapshotStore>,
    cache: Arc<dyn SnapshotStore>,
    unwritten: Arc<Unwritten>,
}

/// Writes to the fleet's copy; to be run for as long as the gateway is.
pub struct CacheWriter {
    cache: Arc<dyn SnapshotStore>,
    unwritten: Arc<Unwritten>,
}

/// What the fleet's copy lacks: the newest configuration, and keys that were revoked.
#[derive(Default)]
struct Unwritten {
    work: Mutex<Work>,
    changed: Notify,
}

#[derive(Clone, Default)]
struct Work {
    config: Option<(TenantId, ConfigSet)>,
    revoked: BTreeSet<KeyDigest>,
}

impl Unwritten {
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CachedSnapshots {
    /// Keeps on `disk` and in `cache`.
    pub fn new(disk: Arc<dyn SnapshotStore>, cache: Arc<dyn SnapshotStore>) -> (Self, CacheWriter) {
        let unwritten = Arc::<Unwritten>::default();
        let writer = CacheWriter { cache: Arc::clone(&cache), unwritten: Arc::clone(&unwritten) };
        (Self { disk, cache, unwritten }, writer)
    }

    async fn cached(&self, tenant: Option<TenantId>) -> LoadReport {
        match timeout(LOAD, self.cache.load(tenant)).await {
            Ok(Ok(report)) => report,
            Ok(Err(error)) => {
                tracing::warn!(error = %error, cause = %error.source, "the fleet's configuration cannot be read");
                LoadReport::default()
            }
            Err(_elapsed) => {
                tracing::warn!("the fleet's configuration cannot be read in time");
                LoadReport::default()
            }
        }
    }
}

#[async_trait]
impl SnapshotStore for CachedSnapshots {
    async fn load(&self, tenant: Option<TenantId>) -> Result<LoadReport, PortError> {
        let (disk, cached) = tokio::join!(self.disk.load(tenant), self.cached(tenant));
        let disk = disk?;
        let quarantined: Vec<QuarantinedSlot> = disk.quarantined.into_iter().chain(cached.quarantined).collect();
        Ok(LoadReport { newest: newer(disk.newest, cached.newest), quarantined })
    }

    async fn save(&self, tenant: TenantId, config: &ConfigSet) -> Result<(), PortError> {
        self.disk.save(tenant, config).await?;
        self.unwritten.work().config = Some((tenant, config.clone()));
        self.unwritten.changed.notify_one();
        Ok(())
    }

    async fn note_revoked(&self, keys: &[KeyDigest]) -> Result<(), PortError> {
        self.disk.note_revoked(keys).await?;
        self.unwritten.work().revoked.extend(keys);
        self.unwritten.changed.notify_one();
        Ok(())
    }
}

/// Whichever is served, what either knows to be revoked stays so.
fn newer(disk: Option<LoadedSnapshot>, cached: Option<LoadedSnapshot>) -> Option<LoadedSnapshot> {
    let (disk, cached) = match (disk, cached) {
        (Some(disk), Some(cached)) => (disk, cached),
        (disk, cached) => return disk.or(cached),
    };
    let (known, other) = (disk.config.head().revision, cached.config.head().revision);
    let takes_cached = disk.tenant == cached.tenant && known.epoch == other.epoch && other.seq > known.seq;
    let revoked = [disk.revoked, cached.revoked].concat();
    let config = if takes_cached { cached.config } else { disk.config };
    Some(LoadedSnapshot { tenant: disk.tenant, config, revoked })
}

impl CacheWriter {
    /// Goes on until it is dropped.
    pub async fn run(self) {
        loop {
            self.unwritten.changed.notified().await;
            self.settle().await;
            while let Err(error) = self.write().await {
                tracing::warn!(error = %error, cause = %error.source, "the fleet's configuration cannot be written");
                sleep(RETRY).await;
            }
        }
    }

    /// Revoked keys are written at once, a configuration when no other follows.
    async fn settle(&self) {
        let latest = Instant::now() + LATEST;
        while self.unwritten.work().revoked.is_empty() {
            let quiet = (Instant::now() + SETTLE).min(latest);
            tokio::select! {
                () = self.unwritten.changed.notified() => {}
                () = sleep_until(quiet) => return,
            }
        }
    }

    async fn write(&self) -> Result<(), PortError> {
        let Work { config, revoked } = self.unwritten.work().clone();
        if !revoked.is_empty() {
            let keys: Vec<KeyDigest> = revoked.iter().copied().collect();
            self.cache.note_revoked(&keys).await?;
            self.unwritten.work().revoked.retain(|key| !revoked.contains(key));
        }
        if let Some((tenant, config)) = config {
            self.cache.save(tenant, &config).await?;
            let mut work = self.unwritten.work();
            // A newer one may have come meanwhile.
            work.config.take_if(|(_, kept)| kept.head() == config.head());
        }
        Ok(())
    }
}
