//! Every contract over this crate's adapters, on a real server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use novagate_access::FleetKey;
use novagate_contracts::{
    BusFixture, PresenceFixture, SharedCounterFixture, SnapshotFixture, ThrottleFixture, leave_out,
};
use novagate_fixtures::ManualClock;
use novagate_kernel::Timestamp;
use novagate_net::Tasks;
use novagate_ports_base::Clock as _;
use novagate_ports_control::outbound::{Bus, Presence, Throttle};
use novagate_ports_edge::{SharedCounter, SharedCounters as _};
use novagate_redis::{Redis, RedisSnapshots};
use novagate_services::RedisDatabase;
use support::redis_at;

/// A database of one case's own, as two nodes see it.
struct OnServer {
    database: RedisDatabase,
    nodes: [Redis; 2],
    snapshots: RedisSnapshots,
    clock: ManualClock,
    made: Instant,
}

fn fleet() -> FleetKey {
    FleetKey::new("the key of a fleet under test")
}

fn on_server() -> OnServer {
    let Some(server) = novagate_services::Redis::shared() else { leave_out() };
    over(server.database())
}

fn over(database: RedisDatabase) -> OnServer {
    let nodes = [1, 2].map(|seed| redis_at(database.url(), seed));
    let snapshots = nodes[0].snapshots(&fleet()).unwrap();
    OnServer { database, nodes, snapshots, clock: ManualClock::default(), made: Instant::now() }
}

impl SharedCounterFixture for OnServer {
    async fn fresh() -> Self {
        on_server()
    }

    fn counter(&self) -> Arc<dyn SharedCounter> {
        self.nodes[0].counters().for_worker()
    }

    fn other_node(&self) -> Arc<dyn SharedCounter> {
        self.nodes[1].counters().for_worker()
    }

    fn elapsed(&self) -> Duration {
        self.made.elapsed()
    }

    async fn tick(&self) {
        // Each question takes a while by itself.
        tokio::task::yield_now().await;
    }
}

impl PresenceFixture for OnServer {
    async fn fresh() -> Self {
        on_server()
    }

    fn presence(&self) -> Arc<dyn Presence> {
        Arc::new(self.nodes[0].presence(Arc::new(self.clock.clone())))
    }

    fn other_node(&self) -> Arc<dyn Presence> {
        Arc::new(self.nodes[1].presence(Arc::new(self.clock.clone())))
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn elapse(&self, duration: Duration) -> bool {
        self.clock.advance(duration);
        true
    }
}

impl ThrottleFixture for OnServer {
    async fn fresh() -> Self {
        on_server()
    }

    fn throttle(&self) -> Arc<dyn Throttle> {
        Arc::new(self.nodes[0].throttle(&fleet()))
    }
}

impl SnapshotFixture for OnServer {
    type Store = RedisSnapshots;

    async fn fresh() -> Self {
        on_server()
    }

    fn store(&self) -> &RedisSnapshots {
        &self.snapshots
    }

    async fn reopened(self) -> Self {
        over(self.database)
    }

    /// There is one slot: a damaged one has none behind it. What becomes of it is tested in `tests/cache.rs`.
    fn damage_newest(&mut self) -> bool {
        false
    }
}

/// Channels are shared by all databases of a server, so each case has a server of its own.
struct OwnServer {
    _server: novagate_services::Redis,
    buses: [Arc<dyn Bus>; 2],
    _tasks: Tasks,
}

impl BusFixture for OwnServer {
    async fn fresh() -> Self {
        let Some(server) = novagate_services::Redis::own() else { leave_out() };
        let tasks = Tasks::new();
        let url = format!("{}/0", server.url());
        let buses = [1, 2].map(|seed| Arc::new(redis_at(&url, seed).bus(tasks.clone())) as Arc<dyn Bus>);
        Self { _server: server, buses, _tasks: tasks }
    }

    fn bus(&self) -> Arc<dyn Bus> {
        Arc::clone(&self.buses[0])
    }

    fn other_node(&self) -> Arc<dyn Bus> {
        Arc::clone(&self.buses[1])
    }
}

novagate_contracts::shared_counter_contract!(OnServer);
novagate_contracts::presence_contract!(OnServer);
novagate_contracts::throttle_contract!(OnServer);
novagate_contracts::snapshot_store_contract!(OnServer);
novagate_contracts::bus_contract!(OwnServer);
