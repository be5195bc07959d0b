//! Who is connected to this process.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{NodeId, Timestamp};
use novagate_ports_base::{Clock, PortError};
use novagate_ports_control::outbound::Presence;
use novagate_sync::Beats;

/// The last beat of each connected node. Clones are the same presence.
#[derive(Clone)]
pub struct MemoryPresence {
    clock: Arc<dyn Clock>,
    beats: Arc<Mutex<Beats>>,
}

impl MemoryPresence {
    /// Nobody is connected. The clock says which beats are older than an hour.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, beats: Arc::default() }
    }

    fn beats(&self) -> MutexGuard<'_, Beats> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryPresence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MemoryPresence").finish_non_exhaustive()
    }
}

#[async_trait]
impl Presence for MemoryPresence {
    async fn beat(&self, scope: &TenantScope, node: NodeId, at: Timestamp) -> Result<(), PortError> {
        self.beats().beat(scope.tenant(), node, at, self.clock.now());
        Ok(())
    }

    async fn leave(&self, scope: &TenantScope, node: NodeId) -> Result<(), PortError> {
        self.beats().leave(scope.tenant(), node);
        Ok(())
    }

    async fn online(&self, scope: &TenantScope) -> Result<Vec<(NodeId, Timestamp)>, PortError> {
        Ok(self.beats().online(scope.tenant(), self.clock.now()))
    }
}
