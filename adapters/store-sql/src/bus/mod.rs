//! Wake-ups between control nodes over PostgreSQL's `LISTEN` and `NOTIFY`, and who is connected to which.
//!
//! Always: a wake-up reaches this process's own listeners before anything goes over the wire; a listener learns when others
//! may have been lost, because the connection broke or stood still; nothing is written to a table. Needs a connection that
//! stays one session, so not one through a proxy that pools transactions. Not here: what a wake-up means (`ports/control`),
//! its text (`adapters/documents`).

mod listener;
mod presence;
mod publisher;

use std::fmt;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use novagate_documents::bus::wake_texts;
use novagate_net::Tasks;
use novagate_ports_base::{Clock, Entropy, FaultKind, PortError};
use novagate_ports_control::outbound::{Bus, BusSubscription, Wake};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{OnceCell, broadcast};

use self::presence::Heard;
pub use self::presence::PgPresence;
use self::publisher::{Channel, Publisher};

/// A subscriber that is further behind than this loses the oldest wake-ups and is told so.
const BACKLOG: usize = 1024;

/// What a bus over PostgreSQL stands on.
pub struct PgBusSettings {
    /// `DATABASE_SESSION_URL`.
    pub url: String,
    /// Own what listens and spreads.
    pub tasks: Tasks,
    /// Says which beats are old.
    pub clock: Arc<dyn Clock>,
    /// For the name of this process on the bus, and for back-off.
    pub entropy: Arc<dyn Entropy>,
}

/// The bus, as one control node sees it. Clones are the same. It connects when it is first used.
#[derive(Clone)]
pub struct PgBus(Arc<Shared>);

struct Shared {
    publisher: Publisher,
    options: PgConnectOptions,
    tasks: Tasks,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Wake-ups; none: some were lost.
    wakes: broadcast::Sender<Option<Wake>>,
    heard: Mutex<Heard>,
    listening: OnceCell<()>,
}

impl PgBus {
    /// A bus that is not connected yet.
    ///
    /// # Errors
    /// The address is not one of PostgreSQL.
    pub fn new(settings: PgBusSettings) -> Result<Self, PortError> {
        let PgBusSettings { url, tasks, clock, entropy } = settings;
        // The driver's error may repeat the address.
        let options = PgConnectOptions::from_str(&url)
            .map_err(|_| PortError::new("bus.open", FaultKind::Misuse, "not an address of PostgreSQL"))?;
        let options = options.application_name("novagate-bus");
        let origin = u64::from_le_bytes(entropy.bytes());
        Ok(Self(Arc::new(Shared {
            publisher: Publisher::new(&options, origin),
            options,
            tasks,
            clock,
            entropy,
            wakes: broadcast::Sender::new(BACKLOG),
            heard: Mutex::default(),
            listening: OnceCell::new(),
        })))
    }

    /// Who is connected, spread over this bus.
    pub fn presence(&self) -> PgPresence {
        PgPresence::new(Arc::clone(&self.0))
    }
}

impl Shared {
    /// Begins to listen, once.
    async fn listen(self: &Arc<Self>) -> Result<(), PortError> {
        let begin = || async {
            let listener = listener::connect(self).await?;
            self.tasks.spawn("bus-listener", listener::run(Arc::clone(self), listener));
            self.tasks.spawn("bus-spread", presence::spread(Arc::clone(self)));
            self.ask().await;
            Ok(())
        };
        self.listening.get_or_try_init(begin).await.copied()
    }

    /// It only fails when nobody listens.
    fn tell(&self, wake: Option<Wake>) {
        drop(self.wakes.send(wake));
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Bus for PgBus {
    async fn publish(&self, wake: &Wake) -> Result<(), PortError> {
        self.0.tell(Some(wake.clone()));
        self.0.publisher.publish(Channel::Wakes, &wake_texts(wake)).await
    }

    async fn subscribe(&self) -> Result<Box<dyn BusSubscription>, PortError> {
        let wakes = self.0.wakes.subscribe();
        self.0.listen().await?;
        Ok(Box::new(Subscription { wakes, _bus: self.clone() }))
    }
}

/// It holds the bus, so that the channel never ends: an end would look like a loss, for ever.
struct Subscription {
    wakes: broadcast::Receiver<Option<Wake>>,
    _bus: PgBus,
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

impl fmt::Debug for PgBus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PgBus").field("listening", &self.0.listening.initialized()).finish_non_exhaustive()
    }
}
