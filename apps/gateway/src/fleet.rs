//! What this gateway shares with the others of its fleet: limits, and a kept configuration.
//!
//! Always: a Redis that is away keeps nothing from starting or serving.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use novagate_access::FleetKey;
use novagate_edge_core::{CacheWriter, CachedSnapshots, FleetCounting};
use novagate_http_edge::{Counters, ExactCounters};
use novagate_kernel::NodeId;
use novagate_policies::{FleetSize, LeaseKeeper, LeaseTable, LimitTable, SharedKeyHasher};
use novagate_ports_base::{Clock, Entropy};
use novagate_ports_edge::SnapshotStore;
use novagate_redis::{Redis, RedisTarget};
use novagate_settings::{FleetSettings, RateLimitMode, RedisSettings, Secret};

use crate::StartError;

/// Most clients whose limits are tracked; beyond, the one idle for longest goes.
const TRACKED_CLIENTS: usize = 200_000;

/// A fleet, and the way to what it shares.
pub(crate) struct Fleet {
    redis: Redis,
    key: FleetKey,
}

/// How requests are counted.
pub(crate) struct Counting {
    pub(crate) counters: Counters,
    /// To be run for as long as the gateway is.
    pub(crate) driver: Option<FleetCounting>,
    /// Decisions and exchanges that failed.
    pub(crate) errors: Arc<AtomicU64>,
}

impl Fleet {
    /// Connects nothing yet.
    pub(crate) fn open(settings: &FleetSettings, entropy: &Arc<dyn Entropy>) -> Result<Self, StartError> {
        let target = target(&settings.redis)?;
        let redis = Redis::new(&target, Arc::clone(entropy))
            .map_err(|error| StartError::Setting(format!("REDIS_URL, REDIS_CA_FILE: {error}")))?;
        Ok(Self { redis, key: FleetKey::new(settings.key.expose()) })
    }

    /// Configurations on the disk, and once more for the fleet.
    pub(crate) fn snapshots(
        &self,
        disk: Arc<dyn SnapshotStore>,
    ) -> Result<(Arc<dyn SnapshotStore>, CacheWriter), StartError> {
        let cache = self.redis.snapshots(&self.key).map_err(|error| StartError::Internal(error.to_string()))?;
        let (snapshots, writer) = CachedSnapshots::new(disk, Arc::new(cache));
        Ok((Arc::new(snapshots), writer))
    }
}

/// Counts as the settings say; without a fleet, on this node alone.
pub(crate) fn counting(mode: RateLimitMode, fleet: Option<&Fleet>, node: NodeId, clock: &Arc<dyn Clock>) -> Counting {
    let errors = Arc::<AtomicU64>::default();
    let (Some(fleet), RateLimitMode::Leased | RateLimitMode::Exact) = (fleet, mode) else {
        return Counting { counters: Counters::Local(own_table()), driver: None, errors };
    };
    let (keys, size) = (SharedKeyHasher::new(&fleet.key), FleetSize::default());
    let ledger = Arc::new(fleet.redis.ledger(&keys));
    let (counters, keeper) = if mode == RateLimitMode::Leased {
        let table = Arc::new(LeaseTable::new(TRACKED_CLIENTS, keys, size.clone()));
        (Counters::Leased(Arc::clone(&table)), Some(LeaseKeeper::new(table)))
    } else {
        let exact = ExactCounters {
            shared: Arc::new(fleet.redis.counters()),
            keys,
            own: own_table(),
            fleet: size.clone(),
            errors: Arc::clone(&errors),
        };
        (Counters::Exact(exact), None)
    };
    let driver = FleetCounting::new(ledger, keeper, size, node, Arc::clone(clock), Arc::clone(&errors));
    Counting { counters, driver: Some(driver), errors }
}

fn own_table() -> Arc<LimitTable> {
    Arc::new(LimitTable::new(TRACKED_CLIENTS))
}

fn target(settings: &RedisSettings) -> Result<RedisTarget, StartError> {
    let text = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
    Ok(RedisTarget {
        secure: settings.secure,
        hosts: settings.hosts.clone(),
        service: settings.service.clone(),
        username: text(&settings.username),
        password: text(&settings.password),
        sentinel_password: text(&settings.sentinel_password),
        database: settings.database,
        authorities: settings.ca_file.as_deref().map(read_pem).transpose()?,
    })
}

fn read_pem(path: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(path)
        .map_err(|error| StartError::Setting(format!("REDIS_CA_FILE: {} cannot be read: {error}", path.display())))
}
