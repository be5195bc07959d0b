//! Who is connected to which control node: each remembers what it hears itself and what the others tell.
//!
//! Beats travel in batches a few times per second and are kept in memory only; a control node that begins to listen asks the
//! others. **Invariant:** news about a node never undoes newer news, so that a node which moved to another control node stays
//! connected when its old session is found to have ended.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_documents::bus::{PresenceNote, presence_texts};
use novagate_kernel::{NodeId, TenantId, Timestamp};
use novagate_ports_base::PortError;
use novagate_ports_control::outbound::Presence;
use novagate_sync::Beats;
use tokio::time::{MissedTickBehavior, interval};

use super::Shared;
use super::publisher::Channel;

/// How long a beat may wait for others to travel with.
const TURN: Duration = Duration::from_millis(200);
/// Turns after which a process says that it is alive; see `SILENCE` of the listener.
const ALIVE_EVERY: u32 = 40;
/// A node that moved to another control node is not reported as gone by this one; its last beat here goes by itself.
const OWN_MEMORY: Duration = Duration::from_mins(5);

/// What one control node knows.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Of all nodes.
    beats: Beats,
    /// Of those that are connected to this process.
    own: HashMap<(TenantId, NodeId), Timestamp>,
    /// Own beats that the others have not been told.
    unsaid: HashMap<(TenantId, NodeId), Timestamp>,
    /// Another control node has asked.
    asked: bool,
}

/// Who is connected, as one control node sees it. Clones are the same.
#[derive(Clone)]
pub struct PgPresence(Arc<Shared>);

impl PgPresence {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl fmt::Debug for PgPresence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PgPresence").finish_non_exhaustive()
    }
}

#[async_trait]
impl Presence for PgPresence {
    async fn beat(&self, scope: &TenantScope, node: NodeId, at: Timestamp) -> Result<(), PortError> {
        self.0.listen().await?;
        let (key, now) = ((scope.tenant(), node), self.0.clock.now());
        let mut heard = self.0.heard();
        heard.beats.beat(key.0, node, at, now);
        heard.own.insert(key, at);
        heard.unsaid.insert(key, at);
        Ok(())
    }

    async fn leave(&self, scope: &TenantScope, node: NodeId) -> Result<(), PortError> {
        self.0.listen().await?;
        let (tenant, key) = (scope.tenant(), (scope.tenant(), node));
        let at = {
            let mut heard = self.0.heard();
            heard.unsaid.remove(&key);
            let at = heard.own.remove(&key).or_else(|| heard.beats.last(tenant, node));
            let at = at.unwrap_or_else(|| self.0.clock.now());
            heard.beats.leave_as_of(tenant, node, at);
            at
        };
        let left = PresenceNote::Left(tenant, node, at);
        self.0.publisher.publish(Channel::Presence, &presence_texts(&left)).await
    }

    async fn online(&self, scope: &TenantScope) -> Result<Vec<(NodeId, Timestamp)>, PortError> {
        self.0.listen().await?;
        Ok(self.0.heard().beats.online(scope.tenant(), self.0.clock.now()))
    }
}

impl Shared {
    /// Asks the other control nodes whom they hear. Without an answer the next beats say the same.
    pub(super) async fn ask(&self) {
        if let Err(error) = self.publisher.publish(Channel::Presence, &presence_texts(&PresenceNote::Asked)).await {
            tracing::debug!(error = %error, "the other control nodes could not be asked for their gateways");
        }
    }

    /// What another control node says.
    pub(super) fn told(&self, said: PresenceNote) {
        let now = self.clock.now();
        let mut heard = self.heard();
        match said {
            PresenceNote::Beats(beats) => {
                for (tenant, node, at) in beats {
                    heard.beats.told(tenant, node, at, now);
                }
            }
            PresenceNote::Left(tenant, node, at) => heard.beats.leave_as_of(tenant, node, at),
            PresenceNote::Asked => heard.asked = true,
        }
    }

    /// Tells the others what they have not been told. What could not be said is said with the next turn.
    async fn say_beats(&self) {
        let beats = {
            let mut heard = self.heard();
            if std::mem::take(&mut heard.asked) {
                let own: Vec<_> = heard.own.iter().map(|(key, at)| (*key, *at)).collect();
                heard.unsaid.extend(own);
            }
            std::mem::take(&mut heard.unsaid)
        };
        if beats.is_empty() {
            return;
        }
        let note = PresenceNote::Beats(beats.iter().map(|(&(tenant, node), &at)| (tenant, node, at)).collect());
        if let Err(error) = self.publisher.publish(Channel::Presence, &presence_texts(&note)).await {
            tracing::debug!(error = %error, "the other control nodes were not told of beats");
            let mut heard = self.heard();
            let newer = std::mem::take(&mut heard.unsaid);
            heard.unsaid = beats.into_iter().filter(|(key, _)| heard.own.contains_key(key)).chain(newer).collect();
        }
    }
}

/// Spreads beats, and that this process is alive, until the program stops.
pub(super) async fn spread(shared: Arc<Shared>) {
    let soft = shared.tasks.soft();
    let mut turns = interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turn: u32 = 0;
    loop {
        tokio::select! {
            () = soft.cancelled() => return,
            _ = turns.tick() => {}
        }
        shared.say_beats().await;
        turn = turn.wrapping_add(1);
        if turn.is_multiple_of(ALIVE_EVERY) {
            let now = shared.clock.now();
            shared.heard().own.retain(|_, at| now.since(*at) < OWN_MEMORY);
            if let Err(error) = shared.publisher.publish(Channel::Alive, &[String::new()]).await {
                tracing::debug!(error = %error, "the bus was not told that this control node is alive");
            }
        }
    }
}
