//! Speaking on the bus.

use std::time::Duration;

use novagate_kernel::encode_hex;
use novagate_ports_base::{FaultKind, PortError};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::time::timeout;

/// How long a word may take, a new connection included.
const DEADLINE: Duration = Duration::from_secs(3);
/// Connections that speak.
const SPEAKERS: u32 = 2;
/// A backend's memory grows with its age.
const LIFETIME: Duration = Duration::from_mins(10);

/// All in one transaction, so that the parts arrive in their order.
const NOTIFY: &str = "SELECT pg_notify($1, part) FROM unnest($2::text[]) AS parts(part)";

/// What is spoken about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Wakes,
    Presence,
    /// Nothing but that the way through the server is open.
    Alive,
}

impl Channel {
    pub(super) const ALL: [Self; 3] = [Self::Wakes, Self::Presence, Self::Alive];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Wakes => "novagate_wakes",
            Self::Presence => "novagate_presence",
            Self::Alive => "novagate_alive",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }
}

/// Speaks for this process, whose name begins each text.
pub(super) struct Publisher {
    pool: PgPool,
    origin: String,
}

impl Publisher {
    pub(super) fn new(options: &PgConnectOptions, origin: u64) -> Self {
        let pool = PgPoolOptions::new().max_connections(SPEAKERS).acquire_timeout(DEADLINE).max_lifetime(LIFETIME);
        Self { pool: pool.connect_lazy_with(options.clone()), origin: encode_hex(&origin.to_be_bytes()) }
    }

    /// Says these texts to every process that listens.
    pub(super) async fn publish(&self, channel: Channel, texts: &[String]) -> Result<(), PortError> {
        let texts: Vec<String> = texts.iter().map(|text| format!("{} {text}", self.origin)).collect();
        let notify = sqlx::query(NOTIFY).bind(channel.name()).bind(texts).execute(&self.pool);
        match timeout(DEADLINE, notify).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(fault)) => Err(PortError::new("bus.publish", FaultKind::Unavailable, fault)),
            Err(_elapsed) => Err(PortError::new("bus.publish", FaultKind::TimedOut, "the server does not answer")),
        }
    }

    /// A text without the name of its speaker; none when this process said it.
    pub(super) fn of_others<'a>(&self, payload: &'a str) -> Option<&'a str> {
        let (origin, text) = payload.split_once(' ').unwrap_or(("", payload));
        (origin != self.origin).then_some(text)
    }
}
