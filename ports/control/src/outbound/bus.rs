//! Wake-ups between control nodes, and who is connected.

use async_trait::async_trait;
use novagate_access::{KeyDigest, TenantScope};
use novagate_kernel::{BootId, GatewayKeyId, Head, NodeId, SessionId, TenantId, Timestamp};
use novagate_ports_base::PortError;

/// Something that connected gateways must hear about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// A tenant has a new revision.
    Config {
        /// Whose.
        tenant: TenantId,
        /// Which.
        head: Head,
    },
    /// Consumer keys stop working at once.
    ConsumerKeysRevoked {
        /// Whose.
        tenant: TenantId,
        /// Their digests.
        keys: Vec<KeyDigest>,
    },
    /// A gateway key was revoked: its sessions end.
    GatewayKeyRevoked {
        /// Whose.
        tenant: TenantId,
        /// Which.
        key: GatewayKeyId,
    },
    /// A tenant was suspended or erased: its sessions end.
    TenantClosed {
        /// Whose.
        tenant: TenantId,
    },
    /// A gateway has said hello: older sessions of the same node end, on whichever control node they are.
    NodeSeen {
        /// Whose.
        tenant: TenantId,
        /// Which.
        node: NodeId,
        /// In which run.
        boot: BootId,
        /// Over which session.
        session: SessionId,
        /// When.
        at: Timestamp,
    },
}

/// Spreads wake-ups to every control node, this one included. Contract: a subscriber receives, in order, everything
/// published after it subscribed, or is told that it lost some; publishing never waits for a slow subscriber.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Publishes a wake-up. A lost one is healed by the digest check each 30 s.
    async fn publish(&self, wake: &Wake) -> Result<(), PortError>;

    /// Begins to listen.
    async fn subscribe(&self) -> Result<Box<dyn BusSubscription>, PortError>;
}

/// One listener.
#[async_trait]
pub trait BusSubscription: Send + 'static {
    /// The next wake-up; `None`: some were lost, compare every digest.
    ///
    /// Cancel-safe: a wake-up is only taken when it is returned.
    async fn next(&mut self) -> Option<Wake>;
}

/// Which nodes are connected now. Contract: a beat is visible to every control node within a second; a node whose last beat is older than
/// `NODE_OFFLINE_AFTER` counts as offline.
#[async_trait]
pub trait Presence: Send + Sync + 'static {
    /// A node is connected, as of `at`.
    async fn beat(&self, scope: &TenantScope, node: NodeId, at: Timestamp) -> Result<(), PortError>;

    /// A node has left.
    async fn leave(&self, scope: &TenantScope, node: NodeId) -> Result<(), PortError>;

    /// The last beat of each node that was connected within the last hour.
    async fn online(&self, scope: &TenantScope) -> Result<Vec<(NodeId, Timestamp)>, PortError>;
}
