//! What connected gateways ask.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use novagate_access::{GatewayKeyRecord, TenantScope, Verified};
use novagate_kernel::{BootId, ErrorCode, Head, NodeId, SessionId};
use novagate_ports_base::PortError;
use novagate_sync::{Ack, ConfigSet, Delta, Nack};

use crate::outbound::{BusSubscription, Ingested, NodeSighting, TelemetryBatch};

/// Why a gateway is not let in, before the upgrade or later.
#[derive(Debug, thiserror::Error)]
pub enum SyncRefusal {
    /// `KEY_INVALID`: no such key. HTTP 401, close 4001.
    #[error("unknown gateway key")]
    KeyInvalid,
    /// `KEY_REVOKED`: HTTP 401, close 4003.
    #[error("revoked gateway key")]
    KeyRevoked,
    /// `TENANT_SUSPENDED`: HTTP 403, close 4004.
    #[error("suspended tenant")]
    TenantSuspended,
    /// `PLAN_LIMIT`: too many known nodes. HTTP 403, close 1013.
    #[error("too many gateway nodes for the plan")]
    TooManyNodes,
    /// Come back later. HTTP 503, close 1013.
    #[error("the control plane is busy")]
    Busy {
        /// When.
        retry_after: Duration,
    },
    /// Something behind the control plane failed. HTTP 503, close 1013.
    #[error("the control plane cannot answer")]
    Port(#[from] PortError),
}

impl SyncRefusal {
    /// The code that the body of the refused upgrade names.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::KeyInvalid => ErrorCode::KeyInvalid,
            Self::KeyRevoked => ErrorCode::KeyRevoked,
            Self::TenantSuspended => ErrorCode::TenantSuspended,
            Self::TooManyNodes => ErrorCode::PlanLimit,
            Self::Busy { .. } | Self::Port(_) => ErrorCode::Unavailable,
        }
    }
}

/// What brings a node to the head.
#[derive(Debug, Clone)]
pub enum ConfigAnswer {
    /// Nothing: it is there.
    Current(Head),
    /// A difference; shared between the nodes that need the same one.
    Delta(Arc<Delta>),
    /// Everything.
    Snapshot(Arc<ConfigSet>),
}

/// The control plane as `adapters/sync-hub` sees it.
#[async_trait]
pub trait GatewaySync: Send + Sync + 'static {
    /// Decides about a presented key. Cheap to call again: each reconnect does.
    async fn authenticate(&self, presented: &str) -> Result<Verified<GatewayKeyRecord>, SyncRefusal>;

    /// Decides again about a key that was let in: its revocation may have been lost on the way from another control node.
    async fn confirm(&self, key: &Verified<GatewayKeyRecord>) -> Result<(), SyncRefusal>;

    /// A node has said hello over a session: remembers it, and lets other control nodes end older sessions of the node.
    async fn hello(&self, scope: &TenantScope, session: SessionId, sighting: &NodeSighting) -> Result<(), SyncRefusal>;

    /// What brings a node that serves `applied` to the head. A node that claims a later seq of our epoch, or the same seq
    /// with another digest, shows that this database was restored: a new epoch is drawn and the answer is a snapshot.
    async fn config_for(&self, scope: &TenantScope, applied: Option<Head>) -> Result<ConfigAnswer, SyncRefusal>;

    /// A node serves a revision.
    async fn acked(&self, scope: &TenantScope, node: NodeId, ack: Ack) -> Result<(), SyncRefusal>;

    /// A node has refused a revision.
    async fn nacked(&self, scope: &TenantScope, node: NodeId, nack: &Nack) -> Result<(), SyncRefusal>;

    /// The highest committed batch of a boot.
    async fn received(&self, scope: &TenantScope, boot: BootId) -> Result<u64, SyncRefusal>;

    /// Stores telemetry.
    async fn ingest(&self, scope: &TenantScope, batch: TelemetryBatch) -> Result<Ingested, SyncRefusal>;

    /// A node is connected.
    async fn beat(&self, scope: &TenantScope, node: NodeId) -> Result<(), SyncRefusal>;

    /// A node has left.
    async fn left(&self, scope: &TenantScope, node: NodeId) -> Result<(), SyncRefusal>;

    /// Wake-ups for all tenants.
    async fn wakes(&self) -> Result<Box<dyn BusSubscription>, SyncRefusal>;
}
