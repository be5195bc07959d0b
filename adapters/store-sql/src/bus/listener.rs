//! Listening on the bus, through broken and silent connections.

use std::sync::Arc;
use std::time::Duration;

use novagate_documents::bus::{presence_of, wake_of};
use novagate_net::BackoffPolicy;
use novagate_ports_base::{FaultKind, PortError};
use sqlx::postgres::{PgListener, PgNotification, PgPoolOptions};
use tokio::time::{sleep, timeout};

use super::Shared;
use super::publisher::Channel;

/// How long a connection may take to stand and listen.
const CONNECT: Duration = Duration::from_secs(5);
/// A connection over which nothing came for so long is dead: every process says that it is alive more often.
const SILENCE: Duration = Duration::from_secs(25);
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A connection that hears everything said from here on.
pub(super) async fn connect(shared: &Shared) -> Result<PgListener, PortError> {
    let connect = async {
        // A pool of its own: a connection that hangs must not keep others from speaking.
        let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let pool = pool.acquire_timeout(CONNECT).connect_with(shared.options.clone()).await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen_all(Channel::ALL.map(Channel::name)).await?;
        Ok::<_, sqlx::Error>(listener)
    };
    match timeout(CONNECT, connect).await {
        Ok(Ok(listener)) => Ok(listener),
        Ok(Err(fault)) => Err(PortError::new("bus.subscribe", FaultKind::Unavailable, fault)),
        Err(_elapsed) => Err(PortError::new("bus.subscribe", FaultKind::TimedOut, "the server does not answer")),
    }
}

/// Passes on what is heard until the program stops. After a break every subscriber is told of the loss, once the new
/// connection hears: what it reads then is not older than what it hears next.
pub(super) async fn run(shared: Arc<Shared>, mut listener: PgListener) {
    let soft = shared.tasks.soft();
    loop {
        tokio::select! {
            () = soft.cancelled() => return,
            () = hear(&shared, &mut listener) => {}
        }
        tracing::warn!("the bus is not heard any more; it is listened to again");
        listener = tokio::select! {
            () = soft.cancelled() => return,
            listener = connect_again(&shared) => listener,
        };
        shared.tell(None);
        shared.ask().await;
        tracing::info!("the bus is heard again");
    }
}

/// Returns when the connection is broken or silent.
async fn hear(shared: &Shared, listener: &mut PgListener) {
    // Dropped in mid-read only when the connection is given up with it.
    while let Ok(Ok(Some(notification))) = timeout(SILENCE, listener.try_recv()).await {
        take(shared, &notification);
    }
}

/// Tells of the first failure only.
async fn connect_again(shared: &Shared) -> PgListener {
    let mut is_told = false;
    let mut backoff = BackoffPolicy::try_new(FIRST_WAIT, LONGEST_WAIT).ok();
    loop {
        match connect(shared).await {
            Ok(listener) => return listener,
            Err(_) if std::mem::replace(&mut is_told, true) => {}
            Err(error) => {
                tracing::warn!(error = %error, cause = %error.source, "the bus cannot be listened to; it is tried again until it can");
            }
        }
        let entropy = u64::from_le_bytes(shared.entropy.bytes());
        sleep(backoff.as_mut().map_or(LONGEST_WAIT, |policy| policy.next(entropy))).await;
    }
}

fn take(shared: &Shared, notification: &PgNotification) {
    let Some(text) = shared.publisher.of_others(notification.payload()) else { return };
    match Channel::of(notification.channel()) {
        Some(Channel::Wakes) => {
            let wake = wake_of(text).ok();
            if wake.is_none() {
                tracing::warn!("a wake-up cannot be read; it counts as lost");
            }
            shared.tell(wake);
        }
        Some(Channel::Presence) => match presence_of(text) {
            Ok(note) => shared.told(note),
            Err(error) => tracing::warn!(error = %error, "what another control node says of its gateways is lost"),
        },
        Some(Channel::Alive) | None => {}
    }
}
