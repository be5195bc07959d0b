//! Which gateways of a tenant are connected: one sorted set per tenant, node by last beat.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{NodeId, Timestamp};
use novagate_ports_base::{Clock, PortError};
use novagate_ports_control::outbound::Presence;

use crate::fault::strange;
use crate::key::Key;
use crate::pool::Pool;

/// How long a beat is remembered.
const MEMORY: Duration = Duration::from_hours(1);
/// Nodes of one tenant that are remembered; beyond, those go whose beats are oldest.
const MOST_NODES: isize = 10_000;

const BEAT: &str = "presence.beat";
const LEAVE: &str = "presence.leave";
const ONLINE: &str = "presence.online";

/// The last beat of each connected node, the same for every control node. Clones are the same presence.
#[derive(Clone)]
pub struct RedisPresence {
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
}

impl RedisPresence {
    pub(crate) const fn new(pool: Arc<Pool>, clock: Arc<dyn Clock>) -> Self {
        Self { pool, clock }
    }

    /// The oldest beat that counts, and the newest: one that lies far ahead was taken before a clock was set back.
    fn span(&self) -> (i64, i64) {
        let now = self.clock.now();
        (now.minus(MEMORY).as_micros(), now.plus(MEMORY).as_micros())
    }
}

#[async_trait]
impl Presence for RedisPresence {
    async fn beat(&self, scope: &TenantScope, node: NodeId, at: Timestamp) -> Result<(), PortError> {
        let (key, (oldest, newest)) = (Key::online(scope.tenant()), self.span());
        let memory = i64::try_from(MEMORY.as_millis()).unwrap_or(i64::MAX);
        let mut commands = redis::pipe();
        commands.zadd(key, node.to_string(), at.as_micros()).ignore();
        commands.zrembyscore(key, "-inf", format!("({oldest}")).ignore();
        commands.zrembyscore(key, format!("({newest}"), "+inf").ignore();
        commands.zremrangebyrank(key, 0, -1 - MOST_NODES).ignore();
        commands.pexpire(key, memory).ignore();
        self.pool.query(BEAT, commands).await
    }

    async fn leave(&self, scope: &TenantScope, node: NodeId) -> Result<(), PortError> {
        let mut commands = redis::pipe();
        commands.zrem(Key::online(scope.tenant()), node.to_string()).ignore();
        self.pool.query(LEAVE, commands).await
    }

    async fn online(&self, scope: &TenantScope) -> Result<Vec<(NodeId, Timestamp)>, PortError> {
        let (oldest, newest) = self.span();
        let mut commands = redis::pipe();
        commands.zrangebyscore_withscores(Key::online(scope.tenant()), oldest, newest);
        let (beats,): (Vec<(String, f64)>,) = self.pool.query(ONLINE, commands).await?;
        beats.into_iter().map(|(node, at)| Ok((node_of(&node)?, time_of(at)))).collect()
    }
}

fn node_of(text: &str) -> Result<NodeId, PortError> {
    NodeId::parse(text).map_err(|_| strange(ONLINE))
}

/// Microseconds since 1970 are whole numbers far below 2^53, which a score holds exactly.
#[expect(clippy::cast_possible_truncation, reason = "it is a whole number that was an i64")]
const fn time_of(score: f64) -> Timestamp {
    Timestamp::from_micros(score as i64)
}

impl fmt::Debug for RedisPresence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedisPresence").finish_non_exhaustive()
    }
}
