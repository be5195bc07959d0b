//! The contract of shared counters over the model that others are compared with.

use std::sync::Arc;
use std::time::Duration;

use novagate_contracts::SharedCounterFixture;
use novagate_fixtures::{LedgerCounter, ManualClock, START};
use novagate_ports_base::Clock as _;
use novagate_ports_edge::SharedCounter;

struct InMemory {
    clock: ManualClock,
    counter: LedgerCounter,
}

impl SharedCounterFixture for InMemory {
    async fn fresh() -> Self {
        let clock = ManualClock::default();
        Self { counter: LedgerCounter::new(clock.clone()), clock }
    }

    fn counter(&self) -> Arc<dyn SharedCounter> {
        Arc::new(self.counter.clone())
    }

    fn other_node(&self) -> Arc<dyn SharedCounter> {
        Arc::new(self.counter.clone())
    }

    fn elapsed(&self) -> Duration {
        self.clock.now().since(START)
    }

    async fn tick(&self) {
        self.clock.advance(Duration::from_millis(1));
    }
}

novagate_contracts::shared_counter_contract!(InMemory);
