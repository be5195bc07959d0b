//! What a gateway does for limits that its fleet counts together, beside the request path: it tells that it is there, learns
//! how many are, and fetches leases.
//!
//! Always: a ledger that is away is asked again after a pause, and each exchange that fails is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use novagate_kernel::{NodeId, Timestamp};
use novagate_policies::{FleetSize, LeaseKeeper};
use novagate_ports_base::Clock;
use novagate_ports_edge::LeaseLedger;
use tokio::time::{MissedTickBehavior, interval};

/// How often leases are looked after: what a client may have to wait for the rest of its limit.
const TURN: Duration = Duration::from_millis(20);
/// How often a node tells that it is there.
const TELL: Duration = Duration::from_secs(5);
/// Until the ledger is asked again after it has failed.
const PAUSE: Duration = Duration::from_millis(250);
/// Buckets in one exchange: the ledger works on them in one step, which others wait for.
const BATCH: usize = 128;

/// Looks after what a fleet counts together.
pub struct FleetCounting {
    keeper: Option<LeaseKeeper>,
    fleet: FleetSize,
    node: NodeId,
    clock: Arc<dyn Clock>,
    errors: Arc<AtomicU64>,
    told_at: Option<Timestamp>,
    paused_at: Option<Timestamp>,
    ledger: Arc<dyn LeaseLedger>,
}

impl FleetCounting {
    /// For this node. `keeper` has the leases, when there are any; `errors` counts exchanges that fail.
    pub fn new(
        ledger: Arc<dyn LeaseLedger>,
        keeper: Option<LeaseKeeper>,
        fleet: FleetSize,
        node: NodeId,
        clock: Arc<dyn Clock>,
        errors: Arc<AtomicU64>,
    ) -> Self {
        Self { keeper, fleet, node, clock, errors, told_at: None, paused_at: None, ledger }
    }

    /// Goes on until it is dropped.
    pub async fn run(mut self) {
        let mut turns = interval(TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            self.turn().await;
        }
    }

    /// One turn.
    pub async fn turn(&mut self) {
        let now = self.clock.now();
        if self.paused_at.is_some_and(|since| is_within(since, now, PAUSE)) {
            return;
        }
        self.paused_at = None;
        if self.told_at.is_none_or(|since| !is_within(since, now, TELL)) {
            self.tell(now).await;
        }
        while self.paused_at.is_none() && self.exchange().await {}
    }

    async fn tell(&mut self, now: Timestamp) {
        match self.ledger.nodes(self.node).await {
            Ok(nodes) => {
                self.told_at = Some(now);
                self.fleet.set(nodes);
            }
            Err(_logged) => self.pause(),
        }
    }

    /// Whether there may be more.
    async fn exchange(&mut self) -> bool {
        let Some(keeper) = &mut self.keeper else { return false };
        let sent_at = self.clock.now();
        let asked = keeper.collect(sent_at, BATCH);
        if asked.is_empty() {
            return false;
        }
        let is_full = asked.len() == BATCH;
        let asks: Vec<_> = asked.iter().map(|asked| asked.ask.clone()).collect();
        match self.ledger.exchange(&asks).await {
            Ok(answers) => keeper.settle(asked, &answers, sent_at, self.clock.now()),
            Err(_logged) => {
                keeper.fail(asked);
                self.pause();
            }
        }
        is_full
    }

    fn pause(&mut self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.paused_at = Some(self.clock.now());
    }
}

/// A clock that was set back ends a span.
fn is_within(since: Timestamp, now: Timestamp, span: Duration) -> bool {
    now >= since && now.since(since) < span
}
