//! The hub: what all sessions share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use novagate_kernel::{GatewayKeyId, Head, TenantId};
use novagate_net::Tasks;
use novagate_ports_base::{Clock, Entropy};
use novagate_ports_control::inbound::{ConfigAnswer, GatewaySync, SyncRefusal};
use novagate_ports_control::outbound::{BusSubscription, Wake};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use crate::admission::Admission;
use crate::answers::Answers;
use crate::encoded::EncodedFrames;
use crate::registry::Registry;

/// How long to wait before listening again after wake-ups were lost.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// How long the answer about a configuration holds for the next node.
const CONFIG_FRESH: Duration = Duration::from_secs(5);
/// How long a key is taken for good without asking: shorter than the 30 s between two checks of a session.
const KEY_FRESH: Duration = Duration::from_secs(20);

/// What gateways may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubLimits {
    /// Gateways let in per second; the rest is told to come back.
    pub admissions_per_second: u32,
    /// Gateways let in at once after a quiet time.
    pub admission_burst: u32,
    /// Over how long the gateways that are told to come back spread.
    pub spread: Duration,
    /// Keys that are looked up at the same time.
    pub authentications: usize,
    /// How often a node is to ping.
    pub heartbeat: Duration,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self {
            admissions_per_second: 500,
            admission_burst: 500,
            spread: Duration::from_secs(20),
            authentications: 64,
            heartbeat: Duration::from_secs(15),
        }
    }
}

/// Counts for `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HubStats {
    /// Sessions that are open.
    pub sessions: usize,
    /// Sessions that were closed because their node did not read.
    pub slow_peers: u64,
    /// Upgrades refused for a bad key, a revoked key or a suspended tenant.
    pub refused: u64,
    /// Upgrades that were told to come back.
    pub deferred: u64,
    /// Batches that could not be read or stored and were given up.
    pub lost_batches: u64,
    /// Times that wake-ups of other control nodes may have been lost and every session compared.
    pub lost_wakes: u64,
}

/// What is counted while it runs.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) slow_peers: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) deferred: AtomicU64,
    pub(crate) lost_batches: AtomicU64,
    pub(crate) lost_wakes: AtomicU64,
}

/// The control plane's end of all links of this process.
pub struct HubState {
    pub(crate) sync: Arc<dyn GatewaySync>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) tasks: Tasks,
    pub(crate) limits: HubLimits,
    pub(crate) registry: Registry,
    /// By tenant and what the asking node serves.
    pub(crate) answers: Answers<(TenantId, Option<Head>), ConfigAnswer>,
    /// Keys that were confirmed lately.
    pub(crate) confirmed: Answers<GatewayKeyId, ()>,
    pub(crate) encoded: Arc<EncodedFrames>,
    pub(crate) admission: Admission,
    pub(crate) authenticating: Semaphore,
    pub(crate) counters: Counters,
}

impl HubState {
    /// A hub with the default limits; see [`Self::start_with`].
    pub async fn start(
        sync: Arc<dyn GatewaySync>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        tasks: &Tasks,
    ) -> Result<Arc<Self>, SyncRefusal> {
        Self::start_with(sync, clock, entropy, tasks, HubLimits::default()).await
    }

    /// A hub that listens to wake-ups and serves sessions until the first step of the shutdown of `tasks`: then each
    /// session says goodbye.
    pub async fn start_with(
        sync: Arc<dyn GatewaySync>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        tasks: &Tasks,
        limits: HubLimits,
    ) -> Result<Arc<Self>, SyncRefusal> {
        let wakes = sync.wakes().await?;
        let admission = Admission::new(limits.admissions_per_second, limits.admission_burst, Instant::now());
        let authenticating = Semaphore::new(limits.authentications.clamp(1, Semaphore::MAX_PERMITS));
        let hub = Arc::new(Self {
            sync,
            clock,
            entropy,
            tasks: tasks.clone(),
            limits,
            registry: Registry::default(),
            answers: Answers::fresh_for(CONFIG_FRESH),
            confirmed: Answers::fresh_for(KEY_FRESH),
            encoded: Arc::default(),
            admission,
            authenticating,
            counters: Counters::default(),
        });
        tasks.spawn("sync-wakes", Arc::clone(&hub).listen(wakes));
        Ok(hub)
    }

    /// Connected gateways.
    pub fn session_count(&self) -> usize {
        self.registry.len()
    }

    /// Counts since the start.
    pub fn stats(&self) -> HubStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        HubStats {
            sessions: self.registry.len(),
            slow_peers: read(&self.counters.slow_peers),
            refused: read(&self.counters.refused),
            deferred: read(&self.counters.deferred),
            lost_batches: read(&self.counters.lost_batches),
            lost_wakes: read(&self.counters.lost_wakes),
        }
    }

    /// Uniform between zero and `ceiling`.
    pub(crate) fn jitter(&self, ceiling: Duration) -> Duration {
        let millis = u128::from(u64::from_le_bytes(self.entropy.bytes())) * ceiling.as_millis();
        Duration::from_millis(u64::try_from(millis >> 64).unwrap_or(0))
    }

    /// Passes wake-ups on. A listener that keeps losing them is asked no more than once a second.
    async fn listen(self: Arc<Self>, mut wakes: Box<dyn BusSubscription>) {
        let soft = self.tasks.soft();
        loop {
            let wake = tokio::select! {
                () = soft.cancelled() => return,
                wake = wakes.next() => wake,
            };
            self.heard(wake.as_ref());
            if wake.is_none() {
                tokio::select! {
                    () = soft.cancelled() => return,
                    () = sleep(LISTEN_AGAIN) => {}
                }
            }
        }
    }

    fn heard(&self, wake: Option<&Wake>) {
        let Some(wake) = wake else {
            self.counters.lost_wakes.fetch_add(1, Ordering::Relaxed);
            self.answers.clear();
            self.confirmed.clear();
            self.registry.lost();
            return;
        };
        match wake {
            Wake::Config { tenant, .. } | Wake::TenantClosed { tenant } => {
                self.answers.forget(|(known, _)| known == tenant);
                self.encoded.forget(*tenant);
            }
            Wake::GatewayKeyRevoked { key, .. } => self.confirmed.forget(|known| known == key),
            Wake::ConsumerKeysRevoked { .. } | Wake::NodeSeen { .. } => {}
        }
        let slow = self.registry.dispatch(wake);
        self.counters.slow_peers.fetch_add(u64::try_from(slow).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl std::fmt::Debug for HubState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("HubState").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
