//! Wake-ups between control nodes over the channel `config.update`.
//!
//! Always: a wake-up reaches this process's own listeners before anything goes over the wire; a listener learns when others
//! may have been lost, because the connection broke or stood still, or a text cannot be read. Not here: what a wake-up
//! means (`ports/control`), its text (`adapters/documents`).

mod listener;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use novagate_documents::bus::wake_texts;
use novagate_net::Tasks;
use novagate_ports_base::{Entropy, PortError};
use novagate_ports_control::outbound::{Bus, BusSubscription, Wake};
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;

use crate::key::CHANNEL;
use crate::pool::Pool;
use crate::server::Server;

/// A subscriber that is further behind than this loses the oldest wake-ups and is told so.
const BACKLOG: usize = 1024;
/// A subscriber waits so long for the connection; after that it is told of a loss when it stands.
const CONNECT: Duration = Duration::from_secs(2);
const PUBLISH: &str = "bus.publish";

/// The bus, as one control node sees it. Clones are the same. It connects when somebody listens.
#[derive(Clone)]
pub struct RedisBus(Arc<Shared>);

struct Shared {
    server: Server,
    pool: Arc<Pool>,
    tasks: Tasks,
    entropy: Arc<dyn Entropy>,
    /// Stands in front of what this process says, so that it does not hear itself twice.
    origin: String,
    /// Wake-ups; none: some were lost.
    wakes: broadcast::Sender<Option<Wake>>,
    hears: watch::Sender<bool>,
    listening: AtomicBool,
}

impl RedisBus {
    pub(crate) fn new(server: Server, pool: Arc<Pool>, entropy: Arc<dyn Entropy>, tasks: Tasks) -> Self {
        let origin = format!("{:016x} ", u64::from_le_bytes(entropy.bytes()));
        let (wakes, hears) = (broadcast::Sender::new(BACKLOG), watch::Sender::new(false));
        Self(Arc::new(Shared { server, pool, tasks, entropy, origin, wakes, hears, listening: AtomicBool::new(false) }))
    }
}

impl Shared {
    /// Begins to listen, once; waits until it hears, but not for ever: a control node starts without Redis too.
    async fn listen(self: &Arc<Self>) {
        if !self.listening.swap(true, Ordering::Relaxed) {
            self.tasks.spawn("bus-listener", listener::run(Arc::clone(self)));
        }
        let mut hears = self.hears.subscribe();
        if timeout(CONNECT, hears.wait_for(|hears| *hears)).await.is_err() {
            tracing::warn!("the bus is not heard yet: edits on other control nodes are noticed later");
        }
    }

    /// It only fails when nobody listens.
    fn tell(&self, wake: Option<Wake>) {
        drop(self.wakes.send(wake));
    }
}

#[async_trait]
impl Bus for RedisBus {
    async fn publish(&self, wake: &Wake) -> Result<(), PortError> {
        self.0.tell(Some(wake.clone()));
        let mut commands = redis::pipe();
        for text in wake_texts(wake) {
            commands.publish(CHANNEL, format!("{}{text}", self.0.origin)).ignore();
        }
        self.0.pool.query(PUBLISH, commands).await
    }

    async fn subscribe(&self) -> Result<Box<dyn BusSubscription>, PortError> {
        self.0.listen().await;
        Ok(Box::new(Subscription { wakes: self.0.wakes.subscribe(), _bus: self.clone() }))
    }
}

/// It holds the bus, so that the channel never ends: an end would look like a loss, for ever.
struct Subscription {
    wakes: broadcast::Receiver<Option<Wake>>,
    _bus: RedisBus,
}

#[async_trait]
impl BusSubscription for Subscription {
    async fn next(&mut self) -> Option<Wake> {
        match self.wakes.recv().await {
            Ok(wake) => wake,
            Err(broadcast::error::RecvError::Lagged(_)) => None,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl fmt::Debug for RedisBus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedisBus").field("hears", &*self.0.hears.borrow()).finish_non_exhaustive()
    }
}
