//! Wake-ups within one process.

use async_trait::async_trait;
use novagate_ports_base::PortError;
use novagate_ports_control::outbound::{Bus, BusSubscription, Wake};
use tokio::sync::broadcast;

/// A subscriber that is further behind than this loses the oldest wake-ups and is told so.
const BACKLOG: usize = 1024;

/// Spreads wake-ups to every subscriber of this process. Clones are the same bus.
#[derive(Debug, Clone)]
pub struct MemoryBus {
    wakes: broadcast::Sender<Wake>,
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self { wakes: broadcast::Sender::new(BACKLOG) }
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(&self, wake: &Wake) -> Result<(), PortError> {
        // It only fails when nobody listens.
        drop(self.wakes.send(wake.clone()));
        Ok(())
    }

    async fn subscribe(&self) -> Result<Box<dyn BusSubscription>, PortError> {
        Ok(Box::new(Subscription { wakes: self.wakes.subscribe(), _bus: self.clone() }))
    }
}

/// It holds the bus, so that the channel never ends: an end would look like a loss, for ever.
struct Subscription {
    wakes: broadcast::Receiver<Wake>,
    _bus: MemoryBus,
}

#[async_trait]
impl BusSubscription for Subscription {
    async fn next(&mut self) -> Option<Wake> {
        match self.wakes.recv().await {
            Ok(wake) => Some(wake),
            Err(broadcast::error::RecvError::Lagged(_)) => None,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
