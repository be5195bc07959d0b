//! Every adapter over one server.

use std::fmt;
use std::sync::Arc;

use novagate_access::FleetKey;
use novagate_net::Tasks;
use novagate_policies::SharedKeyHasher;
use novagate_ports_base::{Clock, Entropy};

use crate::pool::Pool;
use crate::server::Server;
use crate::{
    RedisBus, RedisCounters, RedisLedger, RedisPresence, RedisSnapshots, RedisTarget, RedisTargetError, RedisThrottle,
};

/// A Redis server. Nothing is connected before it is needed.
#[derive(Clone)]
pub struct Redis {
    server: Server,
    pool: Arc<Pool>,
    entropy: Arc<dyn Entropy>,
}

impl Redis {
    /// The server at `target`.
    pub fn new(target: &RedisTarget, entropy: Arc<dyn Entropy>) -> Result<Self, RedisTargetError> {
        let server = Server::new(target)?;
        let pool = Arc::new(Pool::new(server.clone(), Arc::clone(&entropy)));
        Ok(Self { server, pool, entropy })
    }

    /// Limits that are counted request by request.
    pub fn counters(&self) -> RedisCounters {
        RedisCounters::new(self.server.clone(), Arc::clone(&self.entropy))
    }

    /// Limits that are counted by leases.
    pub fn ledger(&self, keys: &SharedKeyHasher) -> RedisLedger {
        RedisLedger::new(self.server.clone(), Arc::clone(&self.entropy), keys)
    }

    /// The configuration that the fleet of this key keeps.
    pub fn snapshots(&self, fleet: &FleetKey) -> Result<RedisSnapshots, RedisTargetError> {
        RedisSnapshots::new(Arc::clone(&self.pool), fleet, Arc::clone(&self.entropy))
    }

    /// Who is connected to which control node.
    pub fn presence(&self, clock: Arc<dyn Clock>) -> RedisPresence {
        RedisPresence::new(Arc::clone(&self.pool), clock)
    }

    /// Attempts, counted by all control nodes that have this key.
    pub fn throttle(&self, key: &FleetKey) -> RedisThrottle {
        RedisThrottle::new(self.server.clone(), Arc::clone(&self.entropy), key)
    }

    /// Wake-ups between control nodes; `tasks` own what listens.
    pub fn bus(&self, tasks: Tasks) -> RedisBus {
        RedisBus::new(self.server.clone(), Arc::clone(&self.pool), Arc::clone(&self.entropy), tasks)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Redis").finish_non_exhaustive()
    }
}
