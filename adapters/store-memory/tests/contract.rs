//! Every contract over this crate's adapters.

use std::sync::Arc;
use std::time::Duration;

use novagate_contracts::{BusFixture, PresenceFixture, StoreFixture, ThrottleFixture};
use novagate_fixtures::ManualClock;
use novagate_kernel::Timestamp;
use novagate_ports_base::Clock as _;
use novagate_ports_control::outbound::{Bus, Presence, Throttle};
use novagate_store_memory::{MemoryBus, MemoryPresence, MemoryStore, MemoryThrottle};

/// All of them; only one is used by each case.
struct Memory {
    store: MemoryStore,
    bus: MemoryBus,
    clock: ManualClock,
    presence: MemoryPresence,
    throttle: MemoryThrottle,
}

fn memory() -> Memory {
    let clock = ManualClock::default();
    Memory {
        store: MemoryStore::default(),
        bus: MemoryBus::default(),
        presence: MemoryPresence::new(Arc::new(clock.clone())),
        throttle: MemoryThrottle::default(),
        clock,
    }
}

impl StoreFixture for Memory {
    type Store = MemoryStore;

    async fn fresh() -> Self {
        memory()
    }

    fn store(&self) -> &MemoryStore {
        &self.store
    }

    async fn reopened(self) -> Option<Self> {
        None
    }
}

impl BusFixture for Memory {
    async fn fresh() -> Self {
        memory()
    }

    fn bus(&self) -> Arc<dyn Bus> {
        Arc::new(self.bus.clone())
    }

    fn other_node(&self) -> Arc<dyn Bus> {
        Arc::new(self.bus.clone())
    }
}

impl PresenceFixture for Memory {
    async fn fresh() -> Self {
        memory()
    }

    fn presence(&self) -> Arc<dyn Presence> {
        Arc::new(self.presence.clone())
    }

    fn other_node(&self) -> Arc<dyn Presence> {
        Arc::new(self.presence.clone())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn elapse(&self, duration: Duration) -> bool {
        self.clock.advance(duration);
        true
    }
}

impl ThrottleFixture for Memory {
    async fn fresh() -> Self {
        memory()
    }

    fn throttle(&self) -> Arc<dyn Throttle> {
        Arc::new(self.throttle.clone())
    }
}

novagate_contracts::store_contracts!(Memory);
novagate_contracts::bus_contract!(Memory);
novagate_contracts::presence_contract!(Memory);
novagate_contracts::throttle_contract!(Memory);
