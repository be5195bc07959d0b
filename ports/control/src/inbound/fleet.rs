//! The tenant's gateways.

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{NodeId, Timestamp};

use super::Refusal;
use crate::outbound::{NodeNack, NodeRecord};

/// A known gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// What is stored of it.
    pub record: NodeRecord,
    /// Whether it is connected.
    pub online: bool,
    /// When it last gave a sign of life.
    pub last_beat: Timestamp,
    /// How many revisions it is behind; `None`: it serves none, or one of another epoch.
    pub lag: Option<u64>,
}

/// What a node made of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReceipt {
    /// Which node.
    pub node: NodeId,
    /// Whether it is connected.
    pub online: bool,
    /// What.
    pub state: ReceiptState,
}

/// What a node made of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiptState {
    /// It serves this revision or a later one.
    Acked {
        /// Since when.
        at: Option<Timestamp>,
    },
    /// It refused it.
    Nacked(NodeNack),
    /// Neither yet.
    Lagging,
}

/// The tenant's gateways.
#[async_trait]
pub trait Fleet: Send + Sync + 'static {
    /// All known nodes.
    async fn gateways(&self, scope: &TenantScope) -> Result<Vec<NodeView>, Refusal>;

    /// One node.
    async fn gateway(&self, scope: &TenantScope, node: NodeId) -> Result<NodeView, Refusal>;

    /// Forgets a node; one that is connected comes back with its next hello.
    async fn forget_gateway(&self, scope: &TenantScope, node: NodeId) -> Result<(), Refusal>;
}
