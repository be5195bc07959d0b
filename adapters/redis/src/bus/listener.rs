//! Listening on the bus, through broken and silent connections.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use novagate_documents::bus::wake_of;
use novagate_net::BackoffPolicy;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Msg, RedisResult};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::Shared;
use crate::key::CHANNEL;

/// How long a connection may take to stand and listen, and an answer to come.
const ANSWER: Duration = Duration::from_secs(2);
/// How often a silent connection is asked whether it is there.
const ASK: Duration = Duration::from_secs(5);
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Passes on what is heard until the program stops. After a break every subscriber is told of the loss at once, and again
/// when the new connection hears: what it reads then is not older than what it hears next.
pub(super) async fn run(shared: Arc<Shared>) {
    let soft = shared.tasks.soft();
    loop {
        let (mut sink, mut stream) = tokio::select! {
            () = soft.cancelled() => return,
            connection = connect_again(&shared) => connection,
        };
        shared.tell(None);
        shared.hears.send_replace(true);
        tracing::info!("the bus is heard");
        tokio::select! {
            () = soft.cancelled() => return,
            () = hear(&shared, &mut stream) => {}
            () = answers(&mut sink) => {}
        }
        shared.hears.send_replace(false);
        shared.tell(None);
        tracing::warn!("the bus is not heard any more; it is listened to again");
    }
}

/// Returns when the connection is broken. What it reads is not held back by slow subscribers, so it does not pile up.
async fn hear(shared: &Shared, stream: &mut PubSubStream) {
    while let Some(message) = stream.next().await {
        take(shared, &message);
    }
}

/// Returns when the connection does not answer.
async fn answers(sink: &mut PubSubSink) {
    let mut turns = interval(ASK);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        if !matches!(timeout(ANSWER, sink.ping::<redis::Value>()).await, Ok(Ok(_))) {
            return;
        }
    }
}

/// Tells of the first failure only.
async fn connect_again(shared: &Shared) -> (PubSubSink, PubSubStream) {
    let mut is_told = false;
    let mut backoff = BackoffPolicy::try_new(FIRST_WAIT, LONGEST_WAIT).ok();
    loop {
        let reason = match timeout(ANSWER, connect(shared)).await {
            Ok(Ok(connection)) => return connection,
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => "no answer in time".to_owned(),
        };
        if !std::mem::replace(&mut is_told, true) {
            tracing::warn!(error = reason, "the bus cannot be listened to; it is tried again until it can");
        }
        let entropy = u64::from_le_bytes(shared.entropy.bytes());
        sleep(backoff.as_mut().map_or(LONGEST_WAIT, |policy| policy.next(entropy))).await;
    }
}

/// A connection that hears everything said from here on.
async fn connect(shared: &Shared) -> RedisResult<(PubSubSink, PubSubStream)> {
    let mut connection = shared.server.client().await?.get_async_pubsub().await?;
    connection.subscribe(CHANNEL).await?;
    Ok(connection.split())
}

fn take(shared: &Shared, message: &Msg) {
    let payload: String = message.get_payload().unwrap_or_default();
    if payload.starts_with(&shared.origin) {
        return;
    }
    let wake = payload.split_once(' ').and_then(|(_origin, text)| wake_of(text).ok());
    if wake.is_none() {
        tracing::warn!("a wake-up cannot be read; it counts as lost");
    }
    shared.tell(wake);
}
