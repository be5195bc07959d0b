//! Gateway nodes that have connected.

use std::collections::BTreeMap;

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{BootId, GatewayKeyId, Head, NodeId, Revision, Timestamp};
use novagate_ports_base::PortError;
use novagate_records::AuditRecord;
use novagate_sync::NackedObject;

/// What a hello tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSighting {
    /// The installation.
    pub node: NodeId,
    /// This run of it.
    pub boot: BootId,
    /// Program and version.
    pub build: String,
    /// The operator's labels.
    pub labels: BTreeMap<String, String>,
    /// The key it authenticated with.
    pub key: GatewayKeyId,
    /// What it serves.
    pub applied: Option<Head>,
    /// When.
    pub at: Timestamp,
}

/// The newest refusal of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeNack {
    /// Which revision.
    pub revision: Revision,
    /// When.
    pub at: Timestamp,
    /// The objects at fault.
    pub objects: Vec<NackedObject>,
}

/// A known node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRecord {
    /// The installation.
    pub node: NodeId,
    /// Its newest run.
    pub boot: BootId,
    /// Program and version.
    pub build: String,
    /// The operator's labels.
    pub labels: BTreeMap<String, String>,
    /// The key it last authenticated with.
    pub key: GatewayKeyId,
    /// When it first connected.
    pub first_seen: Timestamp,
    /// When it last connected, confirmed or refused something.
    pub last_seen: Timestamp,
    /// What it serves.
    pub applied: Option<Head>,
    /// When it confirmed that.
    pub applied_at: Option<Timestamp>,
    /// Its newest refusal.
    pub nack: Option<NodeNack>,
}

/// Known nodes of a tenant. Contract: one row per node id; heartbeats write nothing here (see
/// [`super::Presence`]); a confirmation clears an older refusal.
#[async_trait]
pub trait NodeStore: Send + Sync + 'static {
    /// A node has said hello. `false` when it is unknown and the tenant has `max_nodes` already: then nothing is written.
    async fn seen(&self, scope: &TenantScope, sighting: &NodeSighting, max_nodes: u32) -> Result<bool, PortError>;

    /// These nodes serve `head`; unknown ones are left unknown.
    async fn applied(&self, scope: &TenantScope, nodes: &[NodeId], head: Head, at: Timestamp) -> Result<(), PortError>;

    /// A node has refused a revision.
    async fn nacked(&self, scope: &TenantScope, node: NodeId, nack: &NodeNack) -> Result<(), PortError>;

    /// All known nodes, by first sighting.
    async fn nodes(&self, scope: &TenantScope) -> Result<Vec<NodeRecord>, PortError>;

    /// One node.
    async fn node(&self, scope: &TenantScope, node: NodeId) -> Result<Option<NodeRecord>, PortError>;

    /// Forgets a node and its telemetry cursor; `false` when it is unknown.
    async fn forget(&self, scope: &TenantScope, node: NodeId, audit: &AuditRecord) -> Result<bool, PortError>;
}
